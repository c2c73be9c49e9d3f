"""The remote process: claims ranges, runs tasks in slots, publishes outcomes."""

"""The remote process: claims ranges, runs tasks in slots, publishes outcomes."""

REFUSED = 1  # exit code of a worker that cannot run here, or cannot read its session

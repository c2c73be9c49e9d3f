"""The remote process: claims ranges, runs tasks in slots, publishes outcomes."""

BIRTH_PREFIX = "BURST_BIRTH_"  # of the environment variables that start a worker which no pipe reaches

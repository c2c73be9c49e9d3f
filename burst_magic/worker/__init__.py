"""The remote process: claims ranges, runs tasks in slots, publishes outcomes."""

BIRTH_PREFIX = "BURST_BIRTH_"  # of the environment variables that start a worker which no pipe reaches
REFUSED = 1  # exit code of a worker that cannot work here, or cannot read its session

"""The objects in the store and how they may change. Pure: no I/O, clock, randomness or threads."""

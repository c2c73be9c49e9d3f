"""What lies in the store and how it may change. Pure: no I/O, clock, chance or threads."""

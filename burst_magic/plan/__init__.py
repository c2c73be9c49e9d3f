"""Decisions before money is spent: the size of a worker, what it costs, whether it may start. Pure."""

"""Decisions before money is spent: a worker's size, its cost, and whether it may start. Pure."""

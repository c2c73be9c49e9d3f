"""Bugs that are planted where the simulator does not look, and what plants them: ``make mutations``."""

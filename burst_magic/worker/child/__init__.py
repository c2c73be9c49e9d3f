"""The processes that run user code."""

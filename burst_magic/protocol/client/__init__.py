"""A client's view of a session and its jobs, as pure machines."""

"""A session and its jobs as a client sees them, as pure machines."""

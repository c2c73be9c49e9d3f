"""A worker's slots, on the supervisor's side."""

"""Communication between the supervisor and a slot."""

"""What passes between the supervisor and a slot."""

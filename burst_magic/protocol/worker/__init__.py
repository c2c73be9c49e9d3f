"""One worker as a pure machine."""

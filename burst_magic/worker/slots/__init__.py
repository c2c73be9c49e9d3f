"""The slots of a worker as its supervisor sees them."""

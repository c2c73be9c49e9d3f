"""Names and bytes of the objects in the store."""

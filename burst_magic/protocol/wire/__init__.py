"""Names and bytes: what lies in the store."""

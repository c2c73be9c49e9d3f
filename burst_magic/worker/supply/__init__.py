"""What slots need, brought from the store."""

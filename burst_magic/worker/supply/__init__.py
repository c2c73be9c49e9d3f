"""Fetch what slots need from the store."""

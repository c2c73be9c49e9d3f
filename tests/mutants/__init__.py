"""Bugs that are planted where drawn worlds do not find them, what plants them, and worlds that are arranged for some."""

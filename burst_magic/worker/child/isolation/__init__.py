"""Keep a task's changes to its process from the next task."""

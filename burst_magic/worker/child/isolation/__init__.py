"""Changes of a task to its process that the next task must not see."""

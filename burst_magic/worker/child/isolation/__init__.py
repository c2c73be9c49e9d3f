"""What a task may change of its process and the next one must not see."""

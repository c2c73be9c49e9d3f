"""A running burst in the kernel: submitting, following, results, and taking hold of it again."""

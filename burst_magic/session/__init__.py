"""A running burst in the kernel: submit, follow, read results, reattach."""

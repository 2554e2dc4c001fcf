"""What other packages say of the same data: each runs in an environment of its own."""

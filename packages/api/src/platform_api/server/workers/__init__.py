"""Several processes that serve together, and the one that looks after them."""

"""Programs that measure the server. They compare with a peer in the same run."""

"""Who is present on which topic, kept where all nodes of an engine can see it."""

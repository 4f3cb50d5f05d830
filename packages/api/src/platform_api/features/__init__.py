"""One module a feature: its operations and the shapes it speaks."""

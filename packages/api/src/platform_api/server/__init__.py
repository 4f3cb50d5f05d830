"""Sockets, signals and the life of the process."""

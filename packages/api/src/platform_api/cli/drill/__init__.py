"""Drills: faults on purpose, against the real server, with a table of what must hold."""

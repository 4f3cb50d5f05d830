"""Breaks a real PostgreSQL under traffic and reports what holds: `python -m tests.drill database`."""

"""Proves each query against a migrated PostgreSQL, before it runs anywhere."""

"""Declare SQL as typed classes, run it with psycopg, and prove it against PostgreSQL."""

from platform_queries.annotations import NotNull
from platform_queries.query import QUERIES, Exec, Many, Maybe, One, Query, RowCountError
from platform_queries.rows import NullBroughtError

__all__ = [
    "QUERIES",
    "Exec",
    "Many",
    "Maybe",
    "NotNull",
    "NullBroughtError",
    "One",
    "Query",
    "RowCountError",
]

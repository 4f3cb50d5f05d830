"""What is known about one query, for people."""

from collections.abc import Iterator, Sequence
from typing import Any

from psycopg import Connection

from platform_queries.lock import QueryClass, Verified
from platform_queries.verify.prepare import looking_only, numbered, plan
from platform_queries.verify.verifier import Problem, located, verified

NULLABLE = {"never": "NOT NULL", "can": "can be NULL", "unknown": "not known"}


def explained(connection: Connection[Any], query: QueryClass) -> list[str]:
    """Return lines: where the query stands, what goes in and comes out, and its plan."""
    outcome = verified(connection, {"": query}, {})
    lines = [located(query, Problem(query.__mro__[1].__name__))]
    if outcome.problems:
        return [*lines, "", *outcome.problems]
    lines += list(_sections(query, outcome.verified[""]))
    return [*lines, "", "Plan", *_indented(_plan(connection, query))]


def _plan(connection: Connection[Any], query: QueryClass) -> list[str]:
    with looking_only(connection):
        return plan(connection, numbered(query.sql))


def _sections(query: QueryClass, found: Verified) -> Iterator[str]:
    yield from _section("Parameters", [f"{p.name}: {p.type}" for p in found.parameters])
    yield from _section(
        "Columns",
        [f"{c.name}: {c.type}, {NULLABLE[c.nullable]} ({c.reason})" for c in found.columns],
    )
    yield from _section(
        "Constraints that a caller can break",
        [f"{name}: {_meaning(query, name)}" for name in found.constraints],
    )


def _section(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield from ("", title, *_indented(lines))


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"  {line}" for line in lines]


def _meaning(query: QueryClass, constraint: str) -> str:
    if constraint in query.raises:
        return query.raises[constraint].__name__
    return "unbreakable, says the query"

"""Many queries at once: only those that changed, each error with its file and line."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg import Connection

from platform_infrastructure.postgres.annotations import declared
from platform_infrastructure.postgres.rows import is_row_class
from platform_infrastructure.postgres.verification.results import row_annotations
from platform_infrastructure.postgres.verification.source import Source, source
from platform_infrastructure.postgres.verification.verified import (
    Problem,
    QueryClass,
    Verified,
    VerifiedColumn,
)
from platform_infrastructure.postgres.verification.verifier import Verifier

NOT_A_LITERAL = "`sql` must be one literal string in the class: nothing is put together at run time"


@dataclass(frozen=True, slots=True)
class Outcome:
    """`problems` are lines `file:line: Query: message`."""

    verified: Mapping[str, Verified]
    problems: list[str]


def verified(
    connection: Connection[Any],
    queries: Mapping[str, QueryClass],
    trusted: Mapping[str, Verified],
) -> Outcome:
    """Verify those of `queries` that are not in `trusted`."""
    verifier = Verifier(connection)
    found = dict(trusted)
    problems: list[str] = []
    for name, query in queries.items():
        if name not in trusted:
            found[name], wrong = _verified(verifier, query)
            problems += [located(query, problem) for problem in wrong]
    for query, problem in _needless_options({queries[n]: found[n] for n in queries}):
        problems.append(located(query, problem))
    return Outcome(found, problems)


def located(query: QueryClass, problem: Problem) -> str:
    """Return `file:line: Query: message`, the path as seen from the working directory."""
    place = source(query)
    if place is None:
        return f"{query.__module__}: {query.__qualname__}: {problem.message}"
    return (
        f"{_path(place)}:{place.line_at(problem.offset)}: {query.__qualname__}: {problem.message}"
    )


def _verified(verifier: Verifier, query: QueryClass) -> tuple[Verified, list[Problem]]:
    place = source(query)
    if place is None or place.literal is None:
        return Verified(), [Problem(NOT_A_LITERAL)]
    return verifier.verify(query)


def _path(place: Source) -> Path:
    here = Path.cwd()
    return place.path.relative_to(here) if place.path.is_relative_to(here) else place.path


def _needless_options(found: Mapping[QueryClass, Verified]) -> Iterator[tuple[QueryClass, Problem]]:
    """A row may serve several queries: `| None` is needless when it is so for all of them."""
    uses: dict[tuple[object, str], list[tuple[QueryClass, VerifiedColumn]]] = {}
    for query, result in found.items():
        for column, annotation in _read_columns(query, result):
            if declared(annotation).optional and declared(annotation).kind is not Any:
                holder = query.row if is_row_class(query.row) else query
                uses.setdefault((holder, column.name), []).append((query, column))
    for same in uses.values():
        if all(column.nullable == "never" for _, column in same):
            query, column = same[0]
            message = f"column {column.name} is never NULL ({column.reason}): drop `| None`"
            yield query, Problem(message)


def _read_columns(query: QueryClass, result: Verified) -> Iterator[tuple[VerifiedColumn, Any]]:
    annotations = row_annotations(query.row, [column.name for column in result.columns])
    for column in result.columns:
        if column.name in annotations:
            yield column, annotations[column.name]

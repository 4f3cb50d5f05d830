"""Verifies query classes: everything that can be wrong with one, with its file and line."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any, ForwardRef, TypeVar, cast

from psycopg import Connection

from platform_queries.annotations import declared, hints
from platform_queries.lock import (
    QueryClass,
    Verified,
    VerifiedColumn,
    VerifiedParameter,
)
from platform_queries.query import Exec
from platform_queries.rows import is_row_class
from platform_queries.verify.catalog import Catalog
from platform_queries.verify.columns import outputs
from platform_queries.verify.interface import (
    as_parameter,
    input_problems,
    name_problems,
    result_problems,
    row_annotations,
)
from platform_queries.verify.nullability import RULES
from platform_queries.verify.prepare import (
    Description,
    Refused,
    Statement,
    StatementInvalid,
    accepted,
    described,
    numbered,
    sendings,
)
from platform_queries.verify.scope import Context, Scope
from platform_queries.verify.source import Source, source
from platform_queries.verify.verdict import Verdict
from platform_queries.verify.writes import constraints, write_problems

UNKNOWN_ROWS = (NoneType, str, ForwardRef, TypeVar)


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, and at which character of `sql`, if at one."""

    message: str
    offset: int | None = None


Judgement = tuple[Verified, list[Problem]]


class Verifier:
    """Looks at queries through one connection, on which nothing changes."""

    def __init__(self, connection: Connection[Any]) -> None:
        self.connection = connection
        self.catalog = Catalog(connection)

    def verify(self, query: QueryClass) -> Judgement:
        """Return what is known about `query`, and what is wrong with it."""
        try:
            annotations = parameters(query)
            statement = numbered(query.sql)
            if wrong := list(name_problems(statement, annotations)):
                return Verified(), [Problem(message) for message in wrong]
            return self.judged(query, statement, described(self.connection, statement))
        except (NameError, TypeError) as error:
            return Verified(), [Problem(f"an annotation cannot be read: {error}")]
        except (StatementInvalid, Refused) as error:
            return Verified(), [Problem(str(error), error.offset)]

    def judged(self, query: QueryClass, statement: Statement, found: Description) -> Judgement:
        """Judge a query that PostgreSQL has described."""
        annotations = parameters(query)
        declared = [as_parameter(name, annotations[name]) for name in statement.names]
        scope = Scope(Context(self.catalog, declared, RULES), found.query)
        verdicts = outputs(scope) if found.columns else []
        breakable = constraints(scope)
        problems = [
            *input_problems(self.catalog, statement, found, annotations),
            *write_problems(query, scope, breakable),
            *result_problems(self.catalog, query, found, verdicts),
        ]
        verified = Verified(
            self._parameters(statement, found),
            self._columns(found, verdicts),
            [each.name for each in breakable],
        )
        told = [Problem(message) for message in dict.fromkeys(problems)]
        return verified, told or self._sending_problems(statement, found)

    def _parameters(self, statement: Statement, found: Description) -> list[VerifiedParameter]:
        return [
            VerifiedParameter(name, self.catalog.sql_type(oid).name)
            for name, oid in zip(statement.names, found.parameters, strict=True)
        ]

    def _columns(self, found: Description, verdicts: Sequence[Verdict]) -> list[VerifiedColumn]:
        return [
            VerifiedColumn(
                column.name,
                self.catalog.sql_type(column.type).name,
                verdict.nullable,
                verdict.reason,
            )
            for column, verdict in zip(found.columns, verdicts, strict=True)
        ]

    def _sending_problems(self, statement: Statement, found: Description) -> list[Problem]:
        try:
            for types in sendings(self.catalog, found.parameters):
                accepted(self.connection, statement, types)
        except Refused as refused:
            message = f"as psycopg sends the parameters: {refused}; cast the parameter"
            return [Problem(message, refused.offset)]
        return []


def parameters(query: QueryClass) -> dict[str, Any]:
    """Return the annotations of the parameters by name.

    Raises NameError or TypeError where one of them, or one of the row, cannot be read.
    """
    annotations = hints(query)
    if is_row_class(query.row):
        hints(query.row)
    elif not issubclass(query, Exec) and isinstance(query.row, UNKNOWN_ROWS):
        raise TypeError(f"give {query.__mro__[1].__name__}[…] the type of a row, without quotes")
    return {field.name: annotations[field.name] for field in dataclasses.fields(cast(Any, query))}


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

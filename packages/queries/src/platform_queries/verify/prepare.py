"""Prepares a statement without running it: parameters, result columns, analysed tree, plan."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import Connection
from psycopg.pq import DiagnosticField, ExecStatus

from platform_queries.verify.catalog import Catalog
from platform_queries.verify.tree import Node, queries

PLACEHOLDER = re.compile(
    r"%(?:(?P<percent>%)|\((?P<name>[^()%]*)\)(?P<format>.?)|(?P<other>.?))", re.DOTALL
)


class StatementInvalid(Exception):
    """psycopg would refuse this. `offset` is where, counted in characters from 0."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Statement:
    """`names` are the parameters in the order of their numbers."""

    text: str
    names: list[str]
    moves: Sequence[tuple[int, int]]

    def offset(self, position: int) -> int:
        """Return where in the source is what PostgreSQL calls `position`, counted from 1."""
        source = 0
        for here, there in self.moves:
            if here > position - 1:
                break
            source = there - here
        return position - 1 + source


def numbered(sql: str) -> Statement:
    """Replace the placeholders as psycopg does. Raises `StatementInvalid`."""
    names: list[str] = []
    moves: list[tuple[int, int]] = []
    text = ""
    end = 0
    for found in PLACEHOLDER.finditer(sql):
        text += sql[end : found.start()] + _replacement(found, names)
        end = found.end()
        moves.append((len(text), end))
    return Statement(text + sql[end:], names, moves)


def _replacement(found: re.Match[str], names: list[str]) -> str:
    if found["percent"]:
        return "%"
    if found["name"] is None:
        raise StatementInvalid(
            "write %% for a percent sign and %(name)s for a value", found.start()
        )
    if found["format"] != "s":
        raise StatementInvalid(f"a parameter is written %({found['name']})s", found.start())
    if found["name"] not in names:
        names.append(found["name"])
    return f"${names.index(found['name']) + 1}"


LEFT_OPEN = 0
NAMED: Mapping[str, Sequence[str]] = {
    "bool": ("bool",),
    "bytea": ("bytea",),
    "date": ("date",),
    "float4": ("float8",),
    "float8": ("float8",),
    "int2": ("int2",),
    "int4": ("int2", "int4"),
    "int8": ("int2", "int8"),
    "interval": ("interval",),
    "json": ("jsonb",),
    "jsonb": ("jsonb",),
    "numeric": ("numeric",),
    "oid": ("int2", "int8"),
    "time": ("time",),
    "timestamp": ("timestamp",),
    "timestamptz": ("timestamptz",),
    "timetz": ("timetz",),
    "uuid": ("uuid",),
}
"""By the type that PostgreSQL infers: an `int` is sent as the smallest type that holds it."""


def sendings(catalog: Catalog, parameters: Sequence[int]) -> list[list[int]]:
    """Return the lists of types to try: of the smallest values and of the largest."""
    smallest = [_sent(catalog, oid, 0) for oid in parameters]
    largest = [_sent(catalog, oid, -1) for oid in parameters]
    return [smallest] if smallest == largest else [smallest, largest]


def _sent(catalog: Catalog, oid: int, choice: int) -> int:
    found = catalog.base_type(oid)
    if found.element:
        inner = catalog.base_type(found.element)
        names = NAMED.get(inner.internal)
        return catalog.named(f"_{names[choice]}") if names else LEFT_OPEN
    names = NAMED.get(found.internal)
    return catalog.named(names[choice]) if names else LEFT_OPEN


EXPLAIN = "EXPLAIN (GENERIC_PLAN) "
NUMBERED = re.compile(r"\$(\d+)")


class Refused(Exception):
    """PostgreSQL does not take the statement. `offset` is in the query's `sql`, where known."""

    def __init__(self, message: str, offset: int | None) -> None:
        super().__init__(message)
        self.offset = offset


@dataclass(frozen=True, slots=True)
class ResultColumn:
    name: str
    type: int


@dataclass(frozen=True, slots=True)
class Description:
    """`parameters` are the oids of their types, in the order of their numbers."""

    parameters: Sequence[int]
    columns: Sequence[ResultColumn]
    query: Node


@contextmanager
def looking_only(connection: Connection[Any]) -> Iterator[None]:
    """Whatever is done to the database in this block is undone."""
    with connection.transaction(force_rollback=True):
        yield


def described(connection: Connection[Any], statement: Statement) -> Description:
    """Analyse and plan without running. Raises `Refused`."""
    with looking_only(connection):
        parameters, columns = _prepared(connection, statement)
        query = _analysed(connection, statement, parameters, returns=bool(columns))
        # Some errors come only with the plan, such as ON CONFLICT without a matching index.
        plan(connection, statement)
    return Description(parameters, columns, query)


def accepted(connection: Connection[Any], statement: Statement, sent: Sequence[int]) -> None:
    """Raise `Refused` where PostgreSQL does not take the types that psycopg sends."""
    with looking_only(connection):
        _prepare(connection, statement, sent)


def plan(connection: Connection[Any], statement: Statement) -> list[str]:
    """Return the lines of the plan for parameters of any value. Raises `Refused`."""
    try:
        rows = connection.execute((EXPLAIN + statement.text).encode()).fetchall()
    except psycopg.Error as error:
        position = int(error.diag.statement_position or 0) - len(EXPLAIN)
        raise _refused(
            statement, error.diag.message_primary, error.diag.message_hint, position
        ) from error
    return [row[0] for row in rows]


def _prepared(
    connection: Connection[Any], statement: Statement
) -> tuple[list[int], list[ResultColumn]]:
    _prepare(connection, statement, ())
    found = connection.pgconn.describe_prepared(b"")
    parameters = [found.param_type(number) for number in range(found.nparams)]
    columns = [
        ResultColumn((found.fname(number) or b"").decode(), found.ftype(number))
        for number in range(found.nfields)
    ]
    return parameters, columns


def _prepare(connection: Connection[Any], statement: Statement, types: Sequence[int]) -> None:
    result = connection.pgconn.prepare(b"", statement.text.encode(), types)
    if result.status == ExecStatus.COMMAND_OK:
        return

    def said(field: DiagnosticField) -> str:
        return (result.error_field(field) or b"").decode()

    raise _refused(
        statement,
        said(DiagnosticField.MESSAGE_PRIMARY),
        said(DiagnosticField.MESSAGE_HINT),
        int(said(DiagnosticField.STATEMENT_POSITION) or 0),
    )


def _refused(statement: Statement, message: str | None, hint: str | None, position: int) -> Refused:
    """`position` counts from 1; what is less is none."""
    text = f"{message} (hint: {hint})" if hint else str(message)
    named = NUMBERED.sub(lambda found: f"%({statement.names[int(found[1]) - 1]})s", text)
    return Refused(named, statement.offset(position) if position > 0 else None)


def _analysed(
    connection: Connection[Any], statement: Statement, parameters: Sequence[int], *, returns: bool
) -> Node:
    """A function with an SQL-standard body keeps its statement as PostgreSQL analysed it."""
    types = [_type_name(connection, oid) for oid in parameters]
    create = (
        f"CREATE FUNCTION pg_temp.verified({', '.join(types)})"
        f" RETURNS {'SETOF record' if returns else 'void'} LANGUAGE sql BEGIN ATOMIC\n"
        f"{statement.text}\n; END"
    )
    try:
        connection.execute(create.encode())
    except psycopg.Error as error:
        message = f"this cannot be verified: {error.diag.message_primary}"
        raise Refused(message, None) from error
    row = connection.execute(
        "SELECT prosqlbody::text FROM pg_proc WHERE oid = 'pg_temp.verified'::regproc"
    ).fetchone()
    assert row is not None  # noqa: S101
    return queries(row[0])[0]


def _type_name(connection: Connection[Any], oid: int) -> str:
    row = connection.execute("SELECT format_type(%s, NULL)", (oid,)).fetchone()
    assert row is not None  # noqa: S101
    return str(row[0])

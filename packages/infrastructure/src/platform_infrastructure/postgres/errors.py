"""What PostgreSQL's failures mean to the domain.

Dispatch is on the SQLSTATE (https://www.postgresql.org/docs/current/errcodes-appendix.html), not
on psycopg's class: 40001, 57014 and 57P01 are all `OperationalError`. Any code
not listed here is a bug of ours, and its error passes through unchanged. A wrong parameter value is
the caller's fault; a stored value that the query cannot convert is an `UnreadableError`.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
from loguru import logger
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests

from platform_domain.errors import (
    Conflict,
    Contended,
    DomainError,
    InvalidInput,
    ReferenceInvalid,
    StillInUse,
    Unavailable,
)
from platform_infrastructure.postgres.statement import deletes
from platform_queries import Query
from platform_queries.rows import UnreadableError

CONSTRAINTS: Mapping[str, type[DomainError]] = {
    "23001": StillInUse,
    "23502": InvalidInput,
    "23503": ReferenceInvalid,
    "23505": Conflict,
    "23514": InvalidInput,
    "23P01": Conflict,
}
VALUES = {"22001", "22003", "22007", "22008", "22012", "22021", "22P02", "22P05"}
CONVERSIONS = {"22007", "22P02", "22P05"}
"""A text does not have the form of its type. PostgreSQL converts parameters before it executes the
statement, and names the parameter (`$1`) in the error's context; without one it is a stored text."""
CONTENDED = {"40001", "40P01"}
UNAVAILABLE_CLASSES = ("08", "53", "58")
REFUSED_WRITE = "25006"
"""Both "in a read-only transaction" and "during recovery"."""
REFUSED_BY_STANDBY = {"0A000", "55000"}
"""What a standby says to SERIALIZABLE and to LOCK TABLE; elsewhere it is a bug."""
UNAVAILABLE = {REFUSED_WRITE, "55P03", "57014", "57P01", "57P02", "57P03", "57P05"}
FOREIGN_KEY = "23503"
LACKING = {"42P01", "42703", "42704", "42883"}
"""No such table, column, type or function: a bug, unless the schema is behind the code."""


@contextmanager
def translated(
    query: Query[Any] | None = None, *, raises: Mapping[str, type[Exception]] | None = None
) -> Iterator[None]:
    """Turn driver errors into `DomainError`s; `raises`, or the query's own, names those of single
    constraints."""
    try:
        yield
    except psycopg.Error as error:
        meaning = _meaning(error, query, raises or (query.raises if query else {}))
        if meaning is None:
            raise
        raise meaning from error


def _meaning(
    error: psycopg.Error, query: Query[Any] | None, raises: Mapping[str, type[Exception]]
) -> Exception | None:
    if isinstance(error, PoolTimeout | PoolClosed | TooManyRequests):
        return Unavailable()
    if error.sqlstate is None:
        return _without_sqlstate(error)
    constraint = error.diag.constraint_name
    if constraint is not None and constraint in raises:
        return raises[constraint]()
    # PostgreSQL gives both sides of a foreign key one code, one constraint and one table.
    if error.sqlstate == FOREIGN_KEY and query is not None and deletes(query.sql):
        return StillInUse()
    if error.sqlstate in VALUES and query is not None:
        return _of_value(error, query)
    return _with_sqlstate(error.sqlstate)


def _of_value(error: psycopg.Error, query: Query[Any]) -> Exception:
    """Decide whether a parameter of the query or a stored value is at fault."""
    name = type(query).__name__
    if "$" in (error.diag.context or ""):
        return InvalidInput()
    if error.sqlstate in CONVERSIONS or not vars(query):
        return UnreadableError(f"{name}: {error.diag.message_primary}")
    # A range or a length. Most likely the API does not check a parameter.
    logger.warning("PostgreSQL refused a value", query=name, sqlstate=error.sqlstate)
    return InvalidInput()


def _without_sqlstate(error: psycopg.Error) -> DomainError | None:
    match error:
        case psycopg.DataError():  # A NUL byte or a lone surrogate, refused before it is sent.
            return InvalidInput()
        case psycopg.OperationalError():  # The connection could not be made, or was lost.
            return Unavailable()
        case _:
            return None


def _with_sqlstate(state: str) -> DomainError | None:
    if state in CONSTRAINTS:
        return CONSTRAINTS[state]()
    if state in VALUES:
        return InvalidInput()
    if state in CONTENDED:
        return Contended()
    if state in UNAVAILABLE or state.startswith(UNAVAILABLE_CLASSES):
        return Unavailable()
    return None

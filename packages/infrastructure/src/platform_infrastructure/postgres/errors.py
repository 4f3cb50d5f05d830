"""What PostgreSQL's failures mean to the domain.

Dispatch is on the SQLSTATE (https://www.postgresql.org/docs/current/errcodes-appendix.html), not
on psycopg's class: 40001, 57014 and 57P01 are all `OperationalError`. What is not listed here is
a bug of ours and passes through untouched.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import psycopg
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests

from platform_domain.errors import Conflict, DomainError, InvalidInput, Unavailable


class Contended(Unavailable):
    """Others changed the same rows at the same time (40001, 40P01); the work may be repeated."""

    code = "contended"
    message = "Others are changing the same thing. Try again."


CONSTRAINTS: Mapping[str, type[DomainError]] = {
    "23502": InvalidInput,
    "23503": InvalidInput,
    "23505": Conflict,
    "23514": InvalidInput,
    "23P01": Conflict,
}
VALUES = {"22001", "22003", "22007", "22008", "22012", "22021", "22P02", "22P05"}
CONTENDED = {"40001", "40P01"}
UNAVAILABLE_CLASSES = ("08", "53", "58")
UNAVAILABLE = {"25006", "55P03", "57014", "57P01", "57P02", "57P03", "57P05"}


@contextmanager
def translated(raises: Mapping[str, type[DomainError]]) -> Iterator[None]:
    """Turn driver errors into `DomainError`s; `raises` names those of single constraints."""
    try:
        yield
    except (psycopg.Error, UnicodeEncodeError) as error:
        meaning = _meaning(error, raises)
        if meaning is None:
            raise
        raise meaning from error


def _meaning(
    error: psycopg.Error | UnicodeEncodeError, raises: Mapping[str, type[DomainError]]
) -> DomainError | None:
    if isinstance(error, UnicodeEncodeError):  # A lone surrogate, which JSON lets through.
        return InvalidInput()
    if isinstance(error, PoolTimeout | PoolClosed | TooManyRequests):
        return Unavailable()
    if error.sqlstate is None:
        return _without_sqlstate(error)
    return _with_sqlstate(error.sqlstate, error.diag.constraint_name, raises)


def _without_sqlstate(error: psycopg.Error) -> DomainError | None:
    match error:
        case psycopg.DataError():  # A NUL byte, refused before it is sent.
            return InvalidInput()
        case psycopg.OperationalError():  # The connection could not be made, or was lost.
            return Unavailable()
        case _:
            return None


def _with_sqlstate(
    state: str, constraint: str | None, raises: Mapping[str, type[DomainError]]
) -> DomainError | None:
    if constraint is not None and constraint in raises:
        return raises[constraint]()
    if state in CONSTRAINTS:
        return CONSTRAINTS[state]()
    if state in VALUES:
        return InvalidInput()
    if state in CONTENDED:
        return Contended()
    if state in UNAVAILABLE or state.startswith(UNAVAILABLE_CLASSES):
        return Unavailable()
    return None

"""Real errors of a real server, and what the domain hears of them."""

from collections.abc import AsyncIterator

import psycopg
import pytest

from platform_domain.errors import (
    Conflict,
    Contended,
    DomainError,
    InvalidInput,
    ReferenceInvalid,
    Unavailable,
)
from platform_infrastructure.postgres.errors import translated
from tests.infrastructure.postgres.connections import ask

pytestmark = pytest.mark.anyio

SCHEMA = """
    CREATE TABLE parents (id int PRIMARY KEY, name varchar(3) NOT NULL,
        size int CONSTRAINT parents_size_check CHECK (size > 0),
        span int4range, CONSTRAINT parents_span_excl EXCLUDE USING gist (span WITH &&));
    CREATE TABLE children (parent int CONSTRAINT children_parent_fkey REFERENCES parents);
    INSERT INTO parents VALUES (1, 'abc', 1, '[1,5)');
"""


class SizeInvalid(InvalidInput):
    code = "size_invalid"
    message = "A size is above zero."


@pytest.fixture
async def connection(
    empty_database_url: str,
) -> AsyncIterator[psycopg.AsyncConnection[tuple[object, ...]]]:
    ask(empty_database_url, SCHEMA)
    async with await psycopg.AsyncConnection.connect(
        empty_database_url, autocommit=True, options="-c lock_timeout=50ms"
    ) as connection:
        yield connection


STATEMENTS: list[tuple[str, type[DomainError]]] = [
    ("INSERT INTO parents VALUES (1, 'abc', 1)", Conflict),
    ("INSERT INTO parents VALUES (2, NULL, 1)", InvalidInput),
    ("INSERT INTO parents VALUES (2, 'abcd', 1)", InvalidInput),
    ("INSERT INTO parents VALUES (2, 'abc', 0)", SizeInvalid),
    ("INSERT INTO parents VALUES (2, 'abc', 1, '[2,3)')", Conflict),
    ("INSERT INTO children VALUES (7)", ReferenceInvalid),
    ("SELECT 1/0", InvalidInput),
    ("SELECT 'x'::int", InvalidInput),
    ("SELECT 2147483648::int", InvalidInput),
    ("SELECT '2026-02-30'::date", InvalidInput),
    ("DO $$ BEGIN RAISE SQLSTATE '40001'; END $$", Contended),
    ("DO $$ BEGIN RAISE SQLSTATE '40P01'; END $$", Contended),
    ("DO $$ BEGIN RAISE SQLSTATE '53100'; END $$", Unavailable),
    ("DO $$ BEGIN RAISE SQLSTATE '57014'; END $$", Unavailable),
    ("SELECT pg_terminate_backend(pg_backend_pid())", Unavailable),
    ("BEGIN READ ONLY; INSERT INTO parents VALUES (3, 'a', 1)", Unavailable),
]


@pytest.mark.parametrize(("statement", "kind"), STATEMENTS)
async def test_what_an_error_means(
    connection: psycopg.AsyncConnection[tuple[object, ...]],
    statement: str,
    kind: type[DomainError],
) -> None:
    with (
        pytest.raises(DomainError) as caught,
        translated(raises={"parents_size_check": SizeInvalid}),
    ):
        await connection.execute(statement.encode())

    assert type(caught.value) is kind
    assert isinstance(caught.value.__cause__, psycopg.Error)
    said = f"{caught.value.text} {caught.value.details}"
    for secret in ("parents", "children", "INSERT", "SELECT", "check", "violates"):
        assert secret not in said


async def test_a_lock_that_is_not_released_is_unavailable(
    connection: psycopg.AsyncConnection[tuple[object, ...]], empty_database_url: str
) -> None:
    async with await psycopg.AsyncConnection.connect(empty_database_url) as holder:
        await holder.execute("LOCK TABLE parents")

        with pytest.raises(Unavailable), translated():
            await connection.execute("SELECT * FROM parents")


async def test_a_lost_connection_is_unavailable(
    connection: psycopg.AsyncConnection[tuple[object, ...]], empty_database_url: str
) -> None:
    pid = connection.info.backend_pid
    ask(empty_database_url, "SELECT pg_terminate_backend(%s)", pid)

    for _ in range(2):  # The second meets a connection that is known to be closed.
        with pytest.raises(Unavailable), translated():
            await connection.execute("SELECT 1")


@pytest.mark.parametrize("statement", ["SELECT * FROM nothing", "SELEC 1", "SELECT %s"])
async def test_a_wrong_statement_is_a_bug_and_stays_one(
    connection: psycopg.AsyncConnection[tuple[object, ...]], statement: str
) -> None:
    with pytest.raises(psycopg.Error), translated():
        await connection.execute(statement.encode())

"""Settings of the server, the database, the role and the environment, which must change nothing."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from loguru import logger
from psycopg import AsyncConnection

from platform_domain.startup import StartupError
from platform_infrastructure.postgres.connect import (
    EXPECTED,
    connect,
    connect_unbounded,
    wait_for_database,
)
from platform_infrastructure.postgres.embedded import EmbeddedPostgres
from platform_infrastructure.postgres.migrations import migrate
from platform_infrastructure.postgres.verification import connected
from platform_infrastructure.projects import FindProject
from platform_queries.verify.verifier import Verifier
from tests.databases import database_url as url_of
from tests.databases import drop_database, temporary_database
from tests.infrastructure.postgres.connections import ask, open_pool, settings_for
from tests.infrastructure.postgres.test_rows import SCHEMA, THING

pytestmark = pytest.mark.anyio

READ_ONLY = {"default_transaction_read_only": "on"}
FOREIGN = {
    "DateStyle": "German",
    "IntervalStyle": "sql_standard",
    "client_encoding": "LATIN1",
    "standard_conforming_strings": "off",
    "TimeZone": "Asia/Tokyo",
    "search_path": "elsewhere",
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "bytea_output": "escape",
    "extra_float_digits": "-15",
    "array_nulls": "off",
    "transform_null_equals": "on",
    "xmloption": "document",
    "xmlbinary": "hex",
    "row_security": "off",
    "gin_fuzzy_search_limit": "1",
}
OURS = {**EXPECTED, "client_encoding": "UTF8", "default_transaction_read_only": "off"}
ENVIRONMENT = {
    "PGHOST": "192.0.2.1",
    "PGHOSTADDR": "192.0.2.1",
    "PGPORT": "1",
    "PGUSER": "stranger",
    "PGDATABASE": "nothing",
    "PGSERVICE": "nothing",
    "PGSSLMODE": "verify-full",
    "PGTARGETSESSIONATTRS": "standby",
    "PGREQUIREAUTH": "none",
    "PGCLIENTENCODING": "LATIN1",
    "PGTZ": "Asia/Tokyo",
    "PGDATESTYLE": "German",
    "PGOPTIONS": " ".join(f"-c {name}={value}" for name, value in (FOREIGN | READ_ONLY).items()),
}
Opener = Callable[[str], AbstractAsyncContextManager[AsyncConnection[Any]]]


@asynccontextmanager
async def pooled(url: str) -> AsyncIterator[AsyncConnection[Any]]:
    async with open_pool(url) as pool, pool.connection() as connection:
        yield connection


@asynccontextmanager
async def alone(url: str) -> AsyncIterator[AsyncConnection[Any]]:
    async with await connect(settings_for(url)) as connection:
        yield connection


@asynccontextmanager
async def unbounded(url: str) -> AsyncIterator[AsyncConnection[Any]]:
    async with await connect_unbounded(url) as connection:
        yield connection


OPENERS = [pooled, alone, unbounded]


@pytest.fixture(scope="module")
def foreign_server() -> Iterator[str]:
    with EmbeddedPostgres(None, settings=FOREIGN) as postgres:
        yield postgres.url


@pytest.fixture(scope="module")
def foreign_role(database_server: str, worker_name: str) -> Iterator[str]:
    """A superuser whose password is `secret`."""
    role = f"{worker_name}_foreign"
    ask(database_server, f"CREATE ROLE {role} LOGIN SUPERUSER PASSWORD 'secret'")
    set_foreign(database_server, f"ROLE {role}")
    yield role
    ask(database_server, f"DROP ROLE {role}")


@pytest.fixture(
    params=["database", "role", "environment", pytest.param("server", marks=pytest.mark.slow)]
)
def foreign_url(
    request: pytest.FixtureRequest, worker_name: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """A database whose sessions have other settings by default, set at one of the levels."""
    if request.param == "server":
        server = request.getfixturevalue("foreign_server")
        with temporary_database(server, f"{worker_name}_foreign") as there:
            yield there
        return
    role = request.getfixturevalue("foreign_role") if request.param == "role" else ""
    url: str = request.getfixturevalue("empty_database_url")
    if request.param == "environment":
        for name, value in ENVIRONMENT.items():
            monkeypatch.setenv(name, value)
    if request.param == "database":
        set_foreign(url, f"DATABASE {urlsplit(url).path[1:]}")
    yield as_role(url, role) if role else url


def set_foreign(url: str, holder: str) -> None:
    for name, value in (FOREIGN | READ_ONLY).items():
        ask(url, f"ALTER {holder} SET {name} = '{value}'")


def as_role(url: str, role: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=f"{role}:secret@{parts.hostname}:{parts.port}").geturl()


@pytest.mark.parametrize("opened", OPENERS)
async def test_every_session_has_our_settings(foreign_url: str, opened: Opener) -> None:
    async with opened(foreign_url) as connection:
        cursor = await connection.execute(
            "SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", (list(OURS),)
        )
        found = dict(await cursor.fetchall())
        await connection.execute("CREATE TABLE written (at timestamptz)")

    assert found == OURS


async def test_values_are_written_and_read_alike(foreign_url: str) -> None:
    async with pooled(foreign_url) as connection:
        await connection.execute(SCHEMA.encode())
        thing = await THING.execute(connection)

    assert vars(THING) | {"extra": [1, None]} == {
        name: getattr(thing, name) for name in vars(THING)
    }


async def test_the_schema_is_migrated_and_verified_in_the_usual_place(foreign_url: str) -> None:
    await migrate(foreign_url)
    async with alone(foreign_url) as connection:
        tables = await connection.execute(
            "SELECT DISTINCT schemaname FROM pg_tables WHERE tablename = 'projects'"
        )
        assert await tables.fetchall() == [("public",)]

    with connected(foreign_url) as sync:
        _, problems = Verifier(sync).verify(FindProject)
    assert problems == []


async def test_timeouts_of_the_role_do_not_bound_migrations(empty_database_url: str) -> None:
    database = urlsplit(empty_database_url).path[1:]
    for name in ("statement_timeout", "lock_timeout"):
        ask(empty_database_url, f"ALTER DATABASE {database} SET {name} = '1ms'")

    assert await migrate(empty_database_url)


async def test_the_variables_of_libpq_are_named_once_without_their_values(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"PGPASSWORD": "hunter2", "PGSSLMODE": "verify-full"}.items():
        monkeypatch.setenv(name, value)
    lines: list[Any] = []
    sink = logger.add(lambda message: lines.append(message.record), level="WARNING")

    await wait_for_database(settings_for(database_url))
    await wait_for_database(settings_for(database_url))
    logger.remove(sink)

    (line,) = lines
    assert line["extra"] == {"variables": ["PGPASSWORD", "PGSSLMODE"]}


async def test_the_url_may_choose_a_schema_but_none_of_the_other_settings(
    empty_database_url: str,
) -> None:
    chosen = "?options=-c%20search_path%3Delsewhere%20-c%20IntervalStyle%3Diso_8601"

    async with alone(empty_database_url + chosen) as connection:
        cursor = await connection.execute(
            "SELECT current_setting('search_path'), current_setting('IntervalStyle')"
        )
        assert await cursor.fetchall() == [("elsewhere", "postgres")]


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
async def test_a_database_of_another_encoding_is_refused_at_once(
    database_server: str, worker_name: str, encoding: str
) -> None:
    name = f"{worker_name}_{encoding}".lower()
    ask(
        database_server,
        f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE_PROVIDER libc LOCALE 'C'"
        " TEMPLATE template0",
    )
    try:
        with pytest.raises(StartupError, match=f"encoding of the database is {encoding}.*UTF8"):
            await wait_for_database(settings_for(url_of(database_server, name)))
    finally:
        drop_database(database_server, name)

"""The database that queries are verified against: PostgreSQL 16 or later with every migration."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import Connection
from pydantic import SecretStr

from platform_config import DatabaseSettings
from platform_domain.startup import StartupError
from platform_infrastructure.postgres import migrations
from platform_infrastructure.postgres.connect import READ_ONLY, cause, connect_unbounded
from platform_infrastructure.postgres.embedded import EmbeddedPostgres
from platform_infrastructure.postgres.parameters import parameters_at
from platform_infrastructure.postgres.start import migrated

OLDEST = 160000
CONNECT_SECONDS = 5


@contextmanager
def migrated_database(url: str | None) -> Iterator[Connection[Any]]:
    """Connect to `url`, or to a temporary PostgreSQL 18 of our own with all migrations.

    Raises `StartupError` where `url` cannot be used: it is left as it is, never migrated.
    """
    if url is None:
        with EmbeddedPostgres(None) as embedded:
            _run(migrated(DatabaseSettings(url=SecretStr(embedded.url))))
            with connected(embedded.url) as connection:
                yield connection
        return
    with connected(url) as connection:
        _run(_require_schema(url))
        yield connection


@contextmanager
def connected(url: str) -> Iterator[Connection[Any]]:
    """Connect. Raises `StartupError` where that fails or PostgreSQL is too old."""
    try:
        connection = psycopg.connect(**_parameters(url))
    except psycopg.Error as error:
        raise StartupError(f"The database to verify against: {cause(error)}.") from error
    with connection:
        require_version(connection.info.server_version)
        yield connection


def require_version(version: int) -> None:
    """Raise `StartupError` for a PostgreSQL whose analysed trees do not say enough."""
    if version < OLDEST:
        raise StartupError(
            f"PostgreSQL {version // 10000} cannot verify queries: only 16 and later record which"
            " outer joins can null a column. Leave --database out to use our own."
        )


def _parameters(url: str) -> dict[str, Any]:
    """A role that is read-only by default may verify: everything is rolled back."""
    found = parameters_at(url)
    options = f"{found['options']} -c {READ_ONLY}=off"
    return {"connect_timeout": CONNECT_SECONDS, **found, "options": options}


def _run(work: Any) -> Any:
    # psycopg cannot use the proactor loop that Windows has by default.
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        return runner.run(work)


async def _require_schema(url: str) -> None:
    known = migrations.migrations()
    async with await connect_unbounded(url) as connection:
        applied = await migrations.applied(connection)
    if behind := migrations.missing(applied, known):
        raise StartupError(f"The schema lacks {', '.join(behind)}: run `platform migrate`.")
    if names := migrations.changed(applied, known):
        migrations.refuse(names)

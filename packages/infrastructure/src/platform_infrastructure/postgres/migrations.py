"""Brings the schema up to date from plain SQL files in dbmate's format.

A file is `<version>_<name>.sql`; its part behind `-- migrate:up` is applied, in a transaction
unless that line says `transaction:false`. `schema_migrations(version)` holds what was applied, so
dbmate (https://github.com/amacneil/dbmate) reads and writes the same state.
"""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from itertools import pairwise
from typing import Any

from psycopg import AsyncConnection

from platform_infrastructure.postgres.connect import connect_unbounded

FOLDER = files("platform_infrastructure") / "migrations"
LOCK = 0x706C6174666F726D  # "platform": one migration at a time, whoever runs it.
UP = re.compile(
    r"^-- migrate:up(?P<options>[^\n]*)\n(?P<sql>.*?)(?=^-- migrate:down|\Z)",
    re.DOTALL | re.MULTILINE,
)


class MigrationInvalid(Exception):
    """A migration file is not in dbmate's format, or two have one version."""


@dataclass(frozen=True, slots=True)
class Migration:
    version: str
    name: str
    sql: str
    in_transaction: bool


def migrations(folder: Traversable = FOLDER) -> list[Migration]:
    """Return all migrations in the order of their versions. Raises `MigrationInvalid`."""
    found = sorted(
        (_read(file) for file in folder.iterdir() if file.name.endswith(".sql")),
        key=lambda migration: migration.version,
    )
    for earlier, later in pairwise(found):
        if earlier.version == later.version:
            raise MigrationInvalid(f"{earlier.name} and {later.name} have the same version.")
    return found


async def migrate(conninfo: str, folder: Traversable = FOLDER) -> list[str]:
    """Apply what is missing and return the names of what was applied.

    Concurrent calls wait for each other. Statements are not bounded: an index may take hours.
    """
    async with (
        await connect_unbounded(conninfo) as connection,
        _alone(connection),
    ):
        pending = [m for m in migrations(folder) if m.version not in await applied(connection)]
        for migration in pending:
            await _apply(connection, migration)
        return [migration.name for migration in pending]


async def applied(connection: AsyncConnection[Any]) -> set[str]:
    """Return the versions that the database has; none when it was never migrated."""
    exists = await connection.execute("SELECT to_regclass('schema_migrations') IS NOT NULL")
    if await exists.fetchone() != (True,):
        return set()
    rows = await connection.execute("SELECT version FROM schema_migrations")
    return {version for (version,) in await rows.fetchall()}


def missing(applied: set[str], known: Sequence[Migration]) -> list[str]:
    """Return the names of the known migrations that were not applied."""
    return [migration.name for migration in known if migration.version not in applied]


def unknown(applied: set[str], known: Sequence[Migration]) -> list[str]:
    """Return the applied versions that this code does not know: the schema is ahead of it."""
    return sorted(applied - {migration.version for migration in known})


def _read(file: Traversable) -> Migration:
    version = re.match(r"\d+", file.name)
    up = UP.search(file.read_text(encoding="utf-8"))
    if version is None or up is None:
        raise MigrationInvalid(
            f"{file.name}: expected <digits>_<name>.sql with a line '-- migrate:up'."
        )
    in_transaction = "transaction:false" not in up["options"]
    return Migration(version[0], file.name, up["sql"], in_transaction)


@asynccontextmanager
async def _alone(connection: AsyncConnection[Any]) -> AsyncIterator[None]:
    await connection.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
    await connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_migrations (version varchar PRIMARY KEY)"
    )
    yield  # The lock ends with the connection, also when this process is killed.


async def _apply(connection: AsyncConnection[Any], migration: Migration) -> None:
    if not migration.in_transaction:
        await _execute(connection, migration)
        return
    async with connection.transaction():
        await _execute(connection, migration)


async def _execute(connection: AsyncConnection[Any], migration: Migration) -> None:
    await connection.execute(migration.sql.encode())
    await connection.execute(
        "INSERT INTO schema_migrations (version) VALUES (%s)", (migration.version,)
    )

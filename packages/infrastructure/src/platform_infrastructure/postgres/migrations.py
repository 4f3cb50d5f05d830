"""Brings the schema up to date from plain SQL files in dbmate's format (`migration_files`).

An up block is applied in a transaction unless its marker says `transaction:false`.
`schema_migrations(version)` lists the applied versions, so dbmate can use the same table
(https://github.com/amacneil/dbmate). It leaves our column `checksum` NULL, and our next run fills
it.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from importlib.resources.abc import Traversable
from typing import Any

import psycopg
from psycopg import AsyncConnection, sql

from platform_domain.startup import StartupError
from platform_infrastructure.postgres.connect import cause, prepare
from platform_infrastructure.postgres.migration_files import (
    FOLDER,
    Migration,
    MigrationInvalid,
    migrations,
)
from platform_infrastructure.postgres.migration_waits import (
    LOCK,
    persistently,
    wait_for_turn,
    watched,
)
from platform_infrastructure.postgres.parameters import UNBOUNDED, parameters_at

__all__ = [
    "Migration",
    "MigrationInvalid",
    "MigrationRefused",
    "applied",
    "changed",
    "migrate",
    "migrations",
    "missing",
    "refuse",
    "unknown",
]

LOCK_SECONDS = 1.5
"""Seconds to wait for one lock: more than PostgreSQL's deadlock_timeout of 1 s, after which it
cancels an autovacuum that is in the way, and less than the requests that queue behind us wait."""

TRANSACTION_LOCK = f"SELECT pg_try_advisory_xact_lock({LOCK})"
RECORD = """
    SELECT nspname, relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE pg_class.oid = to_regclass('schema_migrations')
"""
HAS_CHECKSUM = """
    SELECT FROM pg_attribute WHERE attrelid = to_regclass('schema_migrations')
    AND attname = 'checksum' AND NOT attisdropped
"""
# An index that another session is building is only temporarily invalid.
INVALID_INDEXES = """
    SELECT relname, format('%I.%I', nspname, relname)
    FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
    JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE NOT indisvalid AND relkind = 'i'
    AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index WHERE index_relid = indexrelid)
"""
WAY_OUT_OF_CHANGES = (
    "Undo the change and put it into a new file; in development"
    " `platform reset` builds the database anew"
)

Connection = AsyncConnection[Any]


class MigrationRefused(StartupError):
    """A migration was not applied or not recorded. The text gives the reason and the fix."""


def refuse(names: Sequence[str]) -> None:
    """Raise `MigrationRefused` for files that were changed after they were applied."""
    raise MigrationRefused(
        f"{', '.join(names)}: changed after it was applied. {WAY_OUT_OF_CHANGES}"
    )


async def migrate(
    url: str,
    folder: Traversable = FOLDER,
    *,
    lock_timeout: float = LOCK_SECONDS,
    drafts: bool = False,
    on_changed: Callable[[Sequence[str]], None] = refuse,
) -> list[str]:
    """Apply the missing migrations and return their names.

    Concurrent calls take turns after each file. A file in a transaction waits `lock_timeout`
    seconds for each lock and is repeated until it gets them all. There is no other time limit: an
    index may take hours. `on_changed` gets the files that were changed after they were applied.
    With `drafts`, files without a statement are skipped, because they are not written yet. Raises
    `MigrationInvalid`, `MigrationRefused` and `psycopg.Error`.
    """
    known = migrations(folder)
    written = [migration for migration in known if not (drafts and migration.is_empty)]
    parameters = _parameters(url, lock_timeout)
    done: list[str] = []
    async with await AsyncConnection.connect(**parameters) as connection:
        run = _Run(connection, partial(watched, connection, parameters, lock_timeout / 3))
        found = await run.turn(known)
        if names := changed(found, known):
            on_changed(names)
        while pending := [m for m in written if m.version not in found]:
            await run.apply(pending[0])
            done.append(pending[0].name)
            # This resets the session after the file, and releases the lock.
            await connection.execute("DISCARD ALL")
            found = await run.turn(known)
    return done


async def applied(connection: Connection) -> dict[str, str | None]:
    """Return the applied versions, each with the checksum of its file.

    Empty if the database was never migrated. A checksum is None if dbmate or an early version of
    this module applied the file.
    """
    if not await _rows(connection, RECORD):
        return {}
    return dict(
        await _rows(
            connection, "SELECT version, to_jsonb(r) ->> 'checksum' FROM schema_migrations AS r"
        )
    )


def missing(applied: Iterable[str], known: Sequence[Migration]) -> list[str]:
    """Return the names of the known migrations that were not applied."""
    versions = set(applied)
    return [migration.name for migration in known if migration.version not in versions]


def unknown(applied: Iterable[str], known: Sequence[Migration]) -> list[str]:
    """Return the applied versions that this code does not know: the schema is ahead of it."""
    return sorted(set(applied) - {migration.version for migration in known})


def changed(applied: Mapping[str, str | None], known: Sequence[Migration]) -> list[str]:
    """Return the names of the migrations that were changed after they were applied."""
    return [m.name for m in known if applied.get(m.version) not in (None, m.checksum)]


def _parameters(url: str, lock_timeout: float) -> dict[str, Any]:
    """Return psycopg's parameters. Prepared statements would not outlive DISCARD ALL."""
    bounds = {**UNBOUNDED, "lock_timeout": max(0.001, lock_timeout)}  # 0 means no bound.
    named = {"application_name": "platform migrate"}
    return {**named, **parameters_at(url, bounds), "prepare_threshold": None}


@dataclass(frozen=True, slots=True)
class _Run:
    """The connection that migrates. In a block of `watched`, its waits are logged."""

    connection: Connection
    watched: Callable[[], AbstractAsyncContextManager[None]]

    async def turn(self, known: Sequence[Migration]) -> dict[str, str | None]:
        """Wait until no other migration runs; return the versions applied so far."""
        await prepare(self.connection)
        await wait_for_turn(self.connection)
        async with self.watched():
            await persistently("schema_migrations", self._prepare_record)
        found = await applied(self.connection)
        for migration in known:
            if found.get(migration.version, "") is None:
                await self.connection.execute(
                    "UPDATE schema_migrations SET checksum = %s WHERE version = %s",
                    (migration.checksum, migration.version),
                )
        return found

    async def apply(self, migration: Migration) -> None:
        async with self.watched():
            if migration.in_transaction:
                await persistently(migration.name, partial(self._in_transaction, migration))
            else:
                await self._outside_of_transactions(migration)

    async def _prepare_record(self) -> None:
        if not await _rows(self.connection, RECORD):
            await self.connection.execute(
                "CREATE TABLE schema_migrations (version varchar PRIMARY KEY, checksum text)"
            )
        elif not await _rows(self.connection, HAS_CHECKSUM):
            await self.connection.execute("ALTER TABLE schema_migrations ADD COLUMN checksum text")

    async def _in_transaction(self, migration: Migration) -> None:
        async with self.connection.transaction():
            # The file may release the session's lock, but not this one.
            [(locked,)] = await _rows(self.connection, TRANSACTION_LOCK)
            if not locked:
                raise MigrationRefused(f"{migration.name} gave its turn to another migration")
            await self._execute(migration)

    async def _outside_of_transactions(self, migration: Migration) -> None:
        """Run the file once. It cannot be repeated, because its progress is unknown."""
        if re.search(r"\bCONCURRENTLY\b", migration.sql, re.IGNORECASE):
            # It waits for all older transactions, but it does not block readers or writers.
            await self.connection.execute("SET lock_timeout = 0")
        before = await self._invalid_indexes()
        try:
            await self._execute(migration)
        except psycopg.Error as error:
            left = set() if self.connection.closed else await self._left(migration, before)
            raise MigrationRefused(
                f"{_place(migration, error)}: {cause(error)}. The file runs without a transaction,"
                f" so a part of it may be applied.{_drops(left)} Undo or finish the rest by hand,"
                " then migrate again"
            ) from error

    async def _execute(self, migration: Migration) -> None:
        """Run the file and record it in the table that held the record before."""
        [record] = await _rows(self.connection, RECORD)
        before = await self._invalid_indexes()
        try:
            await self.connection.execute(migration.sql.encode())
        except psycopg.Error as error:
            error.add_note(_place(migration, error))
            raise
        await self.connection.execute("RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL")
        await prepare(self.connection)
        if left := await self._left(migration, before):
            raise MigrationRefused(f"{migration.name} is not recorded.{_drops(left)} Migrate again")
        await self.connection.execute(
            sql.SQL("INSERT INTO {} (version, checksum) VALUES (%s, %s)").format(
                sql.Identifier(*record)
            ),
            (migration.version, migration.checksum),
        )

    async def _invalid_indexes(self) -> set[tuple[str, str]]:
        return set(await _rows(self.connection, INVALID_INDEXES))

    async def _left(self, migration: Migration, before: set[tuple[str, str]]) -> set[str]:
        """Return invalid indexes that the file created or names (IF NOT EXISTS accepts them)."""
        return {
            qualified
            for name, qualified in await self._invalid_indexes()
            if (name, qualified) not in before
            or re.search(rf"\b{re.escape(name)}\b", migration.sql, re.IGNORECASE)
        }


def _drops(indexes: set[str]) -> str:
    return "".join(
        f" The index {name} is invalid: DROP INDEX CONCURRENTLY {name}." for name in sorted(indexes)
    )


def _place(migration: Migration, error: psycopg.Error) -> str:
    """Return the file, and the line if PostgreSQL gives one."""
    position = error.diag.statement_position
    if position is None:
        return migration.name
    line = migration.line + migration.sql.count("\n", 0, int(position) - 1)
    return f"{migration.name}:{line}"


async def _rows(connection: Connection, query: str) -> list[tuple[Any, ...]]:
    cursor = await connection.execute(query.encode())
    return await cursor.fetchall()

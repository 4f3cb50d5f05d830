"""From nothing to an open pool on a current schema, and back."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import psycopg
from loguru import logger
from psycopg_pool import PoolTimeout

from platform_config import DatabaseSettings
from platform_domain.startup import StartupError
from platform_infrastructure.postgres.connect import cause, connect, place, wait_for_database
from platform_infrastructure.postgres.migrations import (
    WAY_OUT_OF_CHANGES,
    MigrationInvalid,
    MigrationRefused,
    applied,
    changed,
    migrate,
    migrations,
    refuse,
)
from platform_infrastructure.postgres.parameters import direct_url
from platform_infrastructure.postgres.pool import Pool

CLOSE_SECONDS = 0.5
SHARE_OF_LOCK_TIMEOUT = 0.75
"""A request that queues behind a migration gets its turn before its own lock_timeout ends."""


@asynccontextmanager
async def opened_database(
    settings: DatabaseSettings, pool: Pool, *, migrating: bool
) -> AsyncIterator[None]:
    """Wait for PostgreSQL, migrate if asked to, open the pool; close it at the end.

    Raises `StartupError` when PostgreSQL cannot be reached before the deadline.
    """
    await wait_for_database(settings)
    if migrating:
        for name in await migrated(settings, development=True, drafts=True):
            logger.info("Migrated: {}", name)
    elif names := await changed_files(settings):
        warn_of_changes(names)
    try:
        await _open(pool, settings)
        logger.info("Using PostgreSQL at {}", place(settings))
        yield
    finally:
        await pool.close(timeout=CLOSE_SECONDS)


async def migrated(
    settings: DatabaseSettings, *, development: bool = False, drafts: bool = False
) -> list[str]:
    """Apply the missing migrations and return their names. Raises `StartupError` on failure.

    If applied files have been changed, this is a warning in development and otherwise an error.
    With `drafts`, files without a statement are skipped.
    """
    try:
        return await migrate(
            direct_url(settings),
            lock_timeout=SHARE_OF_LOCK_TIMEOUT * settings.lock_timeout,
            drafts=drafts,
            on_changed=warn_of_changes if development else refuse,
        )
    except (psycopg.Error, MigrationInvalid, MigrationRefused) as error:
        where = "".join(f"{note}: " for note in getattr(error, "__notes__", ()))
        raise StartupError(f"The schema cannot be migrated: {where}{cause(error)}.") from error


async def changed_files(settings: DatabaseSettings) -> list[str]:
    """Return the migration files that were changed after they were applied.

    Raises `StartupError` if the database cannot be queried.
    """
    try:
        async with await connect(settings) as connection:
            return changed(await applied(connection), migrations())
    except psycopg.Error as error:
        raise StartupError(f"PostgreSQL at {place(settings)}: {cause(error)}.") from error


def warn_of_changes(names: Sequence[str]) -> None:
    logger.warning(
        "Migrations were changed after they were applied", files=names, fix=WAY_OUT_OF_CHANGES
    )


async def _open(pool: Pool, settings: DatabaseSettings) -> None:
    try:
        await pool.open(wait=True, timeout=settings.connect_deadline)
    except PoolTimeout as error:
        raise StartupError(
            f"PostgreSQL did not give the {settings.pool_min_size} connections that"
            " DATABASE_POOL_MIN_SIZE asks for: lower it, or raise max_connections there."
        ) from error

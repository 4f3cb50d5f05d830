"""From nothing to an open pool on a current schema, and back."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
from loguru import logger
from psycopg_pool import PoolTimeout

from platform_config import DatabaseSettings
from platform_domain.startup import StartupError
from platform_infrastructure.postgres.connect import cause, place, wait_for_database
from platform_infrastructure.postgres.migrations import MigrationInvalid, migrate
from platform_infrastructure.postgres.parameters import direct_url
from platform_infrastructure.postgres.pool import Pool

CLOSE_SECONDS = 0.5


@asynccontextmanager
async def opened_database(
    settings: DatabaseSettings, pool: Pool, *, migrating: bool
) -> AsyncIterator[None]:
    """Wait for PostgreSQL, migrate if asked to, open the pool; close it at the end.

    Raises `StartupError` when PostgreSQL cannot be reached before the deadline.
    """
    await wait_for_database(settings)
    if migrating:
        for name in await migrated(settings):
            logger.info("Migrated: {}", name)
    try:
        await _open(pool, settings)
        logger.info("Using PostgreSQL at {}", place(settings))
        yield
    finally:
        await pool.close(timeout=CLOSE_SECONDS)


async def migrated(settings: DatabaseSettings) -> list[str]:
    """Apply what is missing and return the names. Raises `StartupError` when that fails."""
    try:
        return await migrate(direct_url(settings))
    except (psycopg.Error, MigrationInvalid) as error:
        raise StartupError(f"The schema cannot be migrated: {cause(error)}.") from error


async def _open(pool: Pool, settings: DatabaseSettings) -> None:
    try:
        await pool.open(wait=True, timeout=settings.connect_deadline)
    except PoolTimeout as error:
        raise StartupError(
            f"PostgreSQL did not give the {settings.pool_min_size} connections that"
            " DATABASE_POOL_MIN_SIZE asks for: lower it, or raise max_connections there."
        ) from error

"""From nothing to an open pool on a current schema, and back."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from loguru import logger

from platform_config import DatabaseSettings
from platform_infrastructure.postgres.connect import place, wait_for_database
from platform_infrastructure.postgres.migrations import migrate
from platform_infrastructure.postgres.pool import Pool, database_url

CLOSE_SECONDS = 2.0


@asynccontextmanager
async def opened_database(
    settings: DatabaseSettings, pool: Pool, *, migrating: bool
) -> AsyncIterator[None]:
    """Wait for PostgreSQL, migrate if asked to, open the pool; close it at the end.

    Raises `StartupError` when PostgreSQL cannot be reached before the deadline.
    """
    await wait_for_database(settings)
    if migrating:
        for name in await migrate(database_url(settings)):
            logger.info("Migrated: {}", name)
    await pool.open(wait=True, timeout=settings.connect_deadline)
    logger.info("Using PostgreSQL at {}", place(settings))
    try:
        yield
    finally:
        await pool.close(timeout=CLOSE_SECONDS)

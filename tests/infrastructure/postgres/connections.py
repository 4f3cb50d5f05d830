"""Settings and an open pool on a test's database."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from pydantic import SecretStr

from platform_config import DatabaseSettings
from platform_infrastructure.postgres.pool import Pool, create_pool


def settings_for(url: str, **changes: Any) -> DatabaseSettings:
    return DatabaseSettings(url=SecretStr(url), **changes)


@asynccontextmanager
async def open_pool(url: str, **changes: Any) -> AsyncIterator[Pool]:
    pool = create_pool(settings_for(url, **changes))
    await pool.open(wait=True, timeout=10)
    try:
        yield pool
    finally:
        await pool.close()


def ask(url: str, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """Run one statement as somebody else would, on a connection of its own."""
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode(), values)
        return cursor.fetchall() if cursor.description else []

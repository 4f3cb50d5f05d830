"""Settings and an open pool on a test's database."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr

from platform_config import DatabaseSettings
from platform_infrastructure.postgres.breaker import Breaker
from platform_infrastructure.postgres.connections import Connections
from platform_infrastructure.postgres.pool import Pool


def settings_for(url: str, **changes: Any) -> DatabaseSettings:
    return DatabaseSettings(url=SecretStr(url), **changes)


@asynccontextmanager
async def open_pool(
    url: str, breaker: Breaker | None = None, **changes: Any
) -> AsyncIterator[Pool]:
    pool = Pool(settings_for(url, **changes), breaker or Breaker())
    await pool.open(wait=True, timeout=10)
    try:
        yield pool
    finally:
        await pool.close()


@asynccontextmanager
async def opened(
    url: str, breaker: Breaker | None = None, **changes: Any
) -> AsyncIterator[Connections]:
    breaker = breaker or Breaker()
    async with open_pool(url, breaker, **changes) as pool:
        yield Connections(settings_for(url, **changes), pool, breaker)


def ask(url: str, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """Run one statement as somebody else would, on a connection of its own."""
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode(), values)
        return cursor.fetchall() if cursor.description else []


def impatient(url: str) -> str:
    """Return how to connect with statements that may take half a minute."""
    return make_conninfo(url, options="-c statement_timeout=30s")


def backends(url: str, words: str, *, wait: str = "%", count: int = 1) -> list[int]:
    """Return the sessions whose latest statement has these words, once there are `count` of them.

    `wait` is the kind of event that they wait for, as a LIKE pattern (pg_stat_activity).
    """
    query = """
        SELECT pid FROM pg_stat_activity WHERE datname = current_database()
        AND pid <> pg_backend_pid() AND position(%s IN query) > 0 AND wait_event_type LIKE %s
    """
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up:
        if len(rows := ask(url, query, words, wait)) >= count:
            return [pid for (pid,) in rows]
        time.sleep(0.02)
    raise AssertionError(f"there were never {count} sessions with {words}")

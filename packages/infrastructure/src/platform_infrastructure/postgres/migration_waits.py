"""The waits of a migration: for other migrations, and for locks on tables.

Each wait is logged with the blocking session.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from loguru import logger
from psycopg import AsyncConnection
from psycopg.errors import DeadlockDetected, LockNotAvailable

LOCK = 0x706C6174666F726D  # "platform": only one migration runs at a time.
SHORTEST_POLL, LONGEST_POLL = 0.02, 1.0
SHORTEST_PAUSE, LONGEST_PAUSE = 1.0, 10.0
"""Seconds between two attempts. Readers that queued behind the first have all had their turn."""

SESSIONS = """
    SELECT pid, application_name, usename, state, left(query, 200)
    FROM unnest({}) AS pid LEFT JOIN pg_stat_activity USING (pid)
"""
BLOCKING = SESSIONS.format("pg_blocking_pids(%s)")
MIGRATING = SESSIONS.format("""ARRAY(
    SELECT pid FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
    WHERE locktype = 'advisory' AND granted AND datname = current_database()
    AND (classid::bigint << 32) | objid::bigint = %s
)""")

Connection = AsyncConnection[Any]


async def wait_for_turn(connection: Connection) -> None:
    """Take the lock that only one migration can hold.

    The lock is polled. A statement that waits for it would hold a snapshot. A CREATE INDEX
    CONCURRENTLY of the migration with the lock would wait for that snapshot: a deadlock.
    """
    pause, seen = SHORTEST_POLL, set[int]()
    while not await _taken(connection):
        await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311
        if pause == LONGEST_POLL:
            await _report("A migration waits for another", connection, MIGRATING, LOCK, seen)
        pause = min(2 * pause, LONGEST_POLL)


async def _taken(connection: Connection) -> bool:
    cursor = await connection.execute("SELECT pg_try_advisory_lock(%s)", (LOCK,))
    return await cursor.fetchone() == (True,)


async def persistently(name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Repeat `work`, which is one transaction, until it gets all its locks in time."""
    pause = SHORTEST_PAUSE
    while True:
        try:
            return await work()
        except (LockNotAvailable, DeadlockDetected) as error:
            logger.warning(
                "A migration did not get its locks and is tried again",
                migration=name,
                sqlstate=error.sqlstate,
                pause=pause,
            )
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


@asynccontextmanager
async def watched(
    connection: Connection, parameters: Mapping[str, Any], glance: float
) -> AsyncIterator[None]:
    """Log which sessions block `connection` in this block; check every `glance` seconds."""
    pid = connection.info.backend_pid
    watching = asyncio.create_task(_watch(pid, parameters, glance))
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.wait([watching])


async def _watch(pid: int, parameters: Mapping[str, Any], glance: float) -> None:
    """Check on a separate connection. Most migrations end before it is opened."""
    await asyncio.sleep(glance)
    seen = set[int]()
    try:
        async with await AsyncConnection.connect(**parameters) as own:
            while True:
                await _report("A migration waits for a lock", own, BLOCKING, pid, seen)
                await asyncio.sleep(glance)
    except psycopg.Error as error:
        logger.warning("What a migration waits for cannot be seen", sqlstate=error.sqlstate)


async def _report(
    message: str, connection: Connection, query: str, key: int, seen: set[int]
) -> None:
    """Log each session that `query` finds once. The pid 0 means a prepared transaction."""
    cursor = await connection.execute(query.encode(), (key,))
    for pid, application, user, state, statement in await cursor.fetchall():
        if pid not in seen:
            logger.warning(
                message, pid=pid, application=application, user=user, state=state, query=statement
            )
        seen.add(pid)

"""Elects a leader among the processes on one database: the one that holds an advisory lock.

The lock belongs to a session, on a separate connection that only the leader keeps. PostgreSQL
releases the lock when the session ends, so a dead leader is replaced. A leader that loses its
connection notices this within `WATCH_SECONDS` + `ANSWER_SECONDS` and cancels its work. A new leader
waits longer than that before it starts work. Only a leader whose event loop is blocked during this
time can overlap with its successor.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from loguru import logger
from psycopg import AsyncConnection

from platform_config import DatabaseSettings
from platform_domain.leadership import Leadership
from platform_infrastructure.postgres.bounded import bounded
from platform_infrastructure.postgres.connect import cause, connect_directly

LOCK = 0x6C6561646572  # "leader"
# A server that became read-only in a failover also grants locks.
WRITABLE = b"SELECT current_setting('transaction_read_only') = 'off'"
TAKE = WRITABLE + b" AND pg_try_advisory_lock(%s)"
# The server must notice within 20 s that the leader's machine is gone (its default is two hours),
# and must not end the session for being idle.
SESSION = (
    b"SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 3; SET tcp_keepalives_count = 3;"
    b" SET idle_session_timeout = 0"
)
RETRY_SECONDS = 2.0
WATCH_SECONDS = 0.5
ANSWER_SECONDS = 1.0
SURE_SECONDS = 2.0
"""How long a new leader waits, so that the previous one has ended its work."""


class AdvisoryLeadership(Leadership):
    def __init__(self, settings: DatabaseSettings) -> None:
        self._settings = settings
        self._connection: AsyncConnection[Any] | None = None
        """Open while this process holds the lock."""
        self._problem = ""
        """Why the lock could not be asked for, as logged last."""
        self._leads_from = 0.0
        self._next_attempt = 0.0
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Release the lock at the end."""
        try:
            yield
        finally:
            await self._hang_up()

    async def run(self, work: Callable[[], Awaitable[None]]) -> bool:
        if not await self._leads():
            return False
        running = asyncio.ensure_future(work())
        try:
            while not (await asyncio.wait({running}, timeout=WATCH_SECONDS))[0]:
                if not await self._leads():
                    return False
            running.result()
            return True
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def _leads(self) -> bool:
        async with self._turn:
            try:
                await self._look()
            except (psycopg.Error, OSError) as error:
                await self._lose(error)
        return self._connection is not None and time.monotonic() >= self._leads_from

    async def _look(self) -> None:
        if self._connection is None:
            await self._try_to_lead()
        elif not await _answer(self._connection, WRITABLE):
            raise psycopg.OperationalError("the server has become read-only")

    async def _try_to_lead(self) -> None:
        if time.monotonic() < self._next_attempt:
            return
        self._next_attempt = time.monotonic() + RETRY_SECONDS
        connection = await connect_directly(self._settings)
        try:
            await bounded(connection, connection.execute(SESSION), ANSWER_SECONDS)
            if await _answer(connection, TAKE, LOCK):
                self._connection = connection
                self._leads_from = time.monotonic() + SURE_SECONDS
                logger.info("This process runs the periodic tasks of the deployment")
            self._problem = ""
        finally:
            if self._connection is None:
                await connection.close()

    async def _lose(self, error: Exception) -> None:
        problem = cause(error)
        if self._connection is not None:
            logger.warning("Periodic tasks end here: the lock was lost", problem=problem)
            await self._hang_up()
        elif problem != self._problem:
            # Without this line a wrong DATABASE_DIRECT_URL would stop all periodic tasks silently.
            self._problem = problem
            logger.warning("Periodic tasks wait: their lock cannot be asked for", problem=problem)

    async def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


async def _answer(connection: AsyncConnection[Any], question: bytes, *values: object) -> bool:
    async def asked() -> bool:
        cursor = await connection.execute(question, values)
        return await cursor.fetchone() == (True,)

    return await bounded(connection, asked(), ANSWER_SECONDS)

"""The pool of connections to PostgreSQL."""

import asyncio
import time
from typing import Any

import psycopg
from loguru import logger
from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool, PoolClosed

from platform_config import DatabaseSettings
from platform_infrastructure.postgres.bounded import bounded, break_off
from platform_infrastructure.postgres.breaker import Breaker
from platform_infrastructure.postgres.connect import READ_ONLY, prepare
from platform_infrastructure.postgres.parameters import connection_parameters

CHECK_SECONDS = 1.0
CANCEL_SECONDS = 0.5
CHECK_AFTER_IDLE_SECONDS = 5.0
# The default, 300, lets failed attempts sleep on long after the server is back.
RECONNECT_SECONDS = 2.0
RENEW_SECONDS = 1.0
WAITING_PER_CONNECTION = 10


class Connection(AsyncConnection[TupleRow]):
    """Remembers when it was made and when it was last used (`time.monotonic`)."""

    made_at: float = 0.0
    used_at: float = 0.0

    async def cancel_safe(self, *, timeout: float = 30.0) -> None:
        """Ask the server to cancel; where it does not take the request, break the connection.

        psycopg calls this when a task is cancelled, and then waits for the statement's end: five
        seconds each, which is too long for a request that has ended.
        """
        try:
            await super().cancel_safe(timeout=min(timeout, CANCEL_SECONDS))
        except psycopg.Error:
            break_off(self)
            raise


class Pool(AsyncConnectionPool[Connection]):
    """A pool that cannot hang on a silent server.

    Only connections that were idle for long are checked when they are taken out: a round trip each
    time would double the cost of a read. While the breaker is open nothing is connected, and the
    `busy` connections are broken off. Nothing is connected at all until the pool is opened.
    """

    def __init__(self, settings: DatabaseSettings, breaker: Breaker) -> None:
        self.busy: set[Connection] = set()
        self._parameters = connection_parameters(settings)
        self._renewed_at = 0.0
        self._leaving = False
        self._may_connect = asyncio.Event()
        self._may_connect.set()
        breaker.on_open(self._may_connect.clear)
        breaker.on_open(self._break_off_busy)
        breaker.on_close(self._may_connect.set)
        super().__init__(
            connection_class=Connection,
            kwargs=self._when_sensible,
            min_size=settings.pool_min_size,
            max_size=settings.pool_max_size,
            max_waiting=WAITING_PER_CONNECTION * settings.pool_max_size,
            timeout=settings.pool_timeout,
            reconnect_timeout=RECONNECT_SECONDS,
            reconnect_failed=_report,
            check=self._check_if_idle,
            configure=_configure,
            name="database",
            open=False,
        )

    async def renew(self, lost: Connection) -> None:
        """Replace the connections that are as old as the one `lost`: they are likely to be lost too."""
        if lost.made_at >= self._renewed_at:
            self._renewed_at = time.monotonic()
            await self.drain()

    async def look_elsewhere(self) -> None:
        """Replace all connections, at most once a second. New ones resolve the address again."""
        if time.monotonic() - self._renewed_at >= RENEW_SECONDS:
            self._renewed_at = time.monotonic()
            await self.drain()

    async def close(self, timeout: float = 5.0) -> None:
        self._leaving = True
        self._may_connect.set()
        await super().close(timeout)

    async def _when_sensible(self) -> dict[str, Any]:
        """Return the parameters of the next connection as soon as there is a server to talk to."""
        await self._may_connect.wait()
        if self._leaving:
            raise PoolClosed("the pool is closing")
        return self._parameters

    async def _check_if_idle(self, connection: Connection) -> None:
        if time.monotonic() - connection.used_at < CHECK_AFTER_IDLE_SECONDS:
            return
        self.busy.add(connection)
        try:
            await bounded(connection, self.check_connection(connection), CHECK_SECONDS)
        except psycopg.Error:
            await self.renew(connection)
            raise
        finally:
            self.busy.discard(connection)

    def _break_off_busy(self) -> None:
        for connection in self.busy:
            break_off(connection)


async def _configure(connection: Connection) -> None:
    connection.made_at = connection.used_at = time.monotonic()
    # PostgreSQL reports this setting itself, so usually no query is needed.
    if connection.info.parameter_status(READ_ONLY) != "off":
        await prepare(connection)


async def _report(pool: AsyncConnectionPool[Any]) -> None:
    logger.warning("PostgreSQL cannot be reached; the pool keeps trying.", pool=pool.name)

"""Lends the pool's connections: to nobody in vain, to no feature too many, for no wait too long."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from math import ceil
from typing import TypeVar

import psycopg

from platform_config import DatabaseSettings
from platform_domain.errors import Unavailable
from platform_infrastructure.postgres.bounded import bounded
from platform_infrastructure.postgres.breaker import Breaker
from platform_infrastructure.postgres.errors import LACKING, REFUSED_BY_STANDBY, REFUSED_WRITE
from platform_infrastructure.postgres.pool import WAITING_PER_CONNECTION, Connection, Pool
from platform_infrastructure.postgres.share import Share

T = TypeVar("T")

SUSPICIOUS_SECONDS = 0.5
"""What takes longer makes the prober look whether the server answers at all."""
SHARE = 0.6
"""The part of the pool that the queries of one module may hold at once."""


class ConnectionLost(psycopg.OperationalError):
    """The connection ended before the answer came."""


@dataclass(frozen=True, slots=True)
class PoolStats:
    """Connections and waiting requests right now; `refused` and `lost` count since the start."""

    size: int
    lent: int
    idle: int
    waiting: int
    refused: int
    lost: int


class Connections:
    def __init__(self, settings: DatabaseSettings, pool: Pool, breaker: Breaker) -> None:
        self._pool = pool
        self._breaker = breaker
        self._wait = settings.pool_timeout
        # The server ends a statement at its own timeout; a second more is for a silent server.
        self._bound = settings.statement_timeout + 1.0
        places = max(1, ceil(settings.pool_max_size * SHARE))
        queue = WAITING_PER_CONNECTION * settings.pool_max_size
        self._shares: defaultdict[str, Share] = defaultdict(lambda: Share(places, queue))
        self._waits: set[asyncio.Timeout] = set()
        self._refused = 0
        self._lost = 0
        breaker.on_open(self._end_waits)

    @asynccontextmanager
    async def lend(self, module: str) -> AsyncIterator[Connection]:
        """Lend a connection to the queries of `module`.

        Raises `Unavailable` while the breaker is open, and when no connection comes free in time.
        """
        share = self._shares[module]
        try:
            connection = await self._take(share)
        except (Unavailable, psycopg.Error):
            self._refused += 1
            raise
        self._pool.busy.add(connection)
        try:
            yield connection
        finally:
            self._pool.busy.discard(connection)
            share.leave()
            connection.used_at = time.monotonic()
            await self._pool.putconn(connection)

    async def ask(self, connection: Connection, work: Awaitable[T]) -> T:
        """Await a statement's answer within a time limit.

        Raises `ConnectionLost`, or `Unavailable` if the schema is too old or the server does not
        accept writes.
        """
        try:
            return await self._watched(bounded(connection, work, self._bound))
        except psycopg.Error as error:
            if self._breaker.schema_is_behind and error.sqlstate in LACKING:
                raise Unavailable from error
            if _is_refused_write(error, connection):
                # There may be a new primary, which new connections will reach.
                self._breaker.suspect()
                await self._pool.look_elsewhere()
                raise Unavailable from error
            if not connection.closed:
                raise
            await self._lose(connection)
            raise ConnectionLost(str(error)) from error

    def stats(self) -> PoolStats:
        figures = self._pool.get_stats()
        return PoolStats(
            size=figures.get("pool_size", 0),
            lent=len(self._pool.busy),
            idle=figures.get("pool_available", 0),
            waiting=len(self._waits),
            refused=self._refused,
            lost=self._lost,
        )

    async def _take(self, share: Share) -> Connection:
        """Wait no longer than the pool's timeout, nor when the breaker opens."""
        self._breaker.require_closed()
        patience = asyncio.timeout(self._wait)
        try:
            async with patience:
                self._waits.add(patience)
                return await self._got(share)
        except TimeoutError:
            raise Unavailable from None
        finally:
            self._waits.discard(patience)

    async def _got(self, share: Share) -> Connection:
        await share.enter()
        try:
            return await self._watched(self._pool.getconn())
        except BaseException:
            share.leave()
            raise

    async def _watched(self, work: Awaitable[T]) -> T:
        loop = asyncio.get_running_loop()
        timer = loop.call_later(SUSPICIOUS_SECONDS, self._breaker.suspect)
        try:
            return await work
        finally:
            timer.cancel()

    async def _lose(self, connection: Connection) -> None:
        self._lost += 1
        self._breaker.suspect()
        await connection.close()
        await self._pool.renew(connection)

    def _end_waits(self) -> None:
        now = asyncio.get_running_loop().time()
        for wait in self._waits:
            if not wait.expired():
                wait.reschedule(now)


def _is_refused_write(error: psycopg.Error, connection: Connection) -> bool:
    return error.sqlstate == REFUSED_WRITE or (
        error.sqlstate in REFUSED_BY_STANDBY
        and connection.info.parameter_status("in_hot_standby") == "on"
    )

"""Asks PostgreSQL now and then how it is, on a connection of its own, and remembers the answer."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import psycopg
from loguru import logger
from psycopg import AsyncConnection

from platform_config import DatabaseSettings
from platform_domain.health import Health, HealthCheck, Status
from platform_infrastructure.postgres import migrations
from platform_infrastructure.postgres.bounded import bounded
from platform_infrastructure.postgres.breaker import Breaker
from platform_infrastructure.postgres.connect import (
    ReadOnly,
    cause,
    connect,
    failure,
    require_writes,
)
from platform_infrastructure.postgres.pool import RENEW_SECONDS, Pool

PROBE_SECONDS = 1.0
REST_SECONDS = 0.1
"""Between two probes at least, however many are suspicious."""
TRIAL_SECONDS = 0.3
"""Between two probes of a server that is down."""


class DatabaseHealth(HealthCheck):
    """Up if a probe is answered in a second, the server accepts writes and the schema is current.

    A failed probe opens the breaker, and a successful one closes it. If the prober's own connection
    was lost, the connections of the pool are probably lost too, so they are replaced before a
    request uses them.

    If the server does not accept writes, the prober connects again, because after a failover a new
    connection reaches another server. While that server does not accept writes either, the database
    is down, but reads still work.
    """

    name = "database"

    def __init__(self, settings: DatabaseSettings, pool: Pool, breaker: Breaker) -> None:
        self._settings = settings
        self._pool = pool
        self._breaker = breaker
        self._connection: AsyncConnection[Any] | None = None
        self._lost = False
        self._is_read_only = False
        self._schema_is_current = False
        self._ahead: list[str] = []
        self._unasked = Health(Status.DOWN, since=datetime.now(UTC), problem="not asked yet")
        self._health = self._unasked

    def health(self) -> Health:
        return self._health

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Ask once before anybody is served; hang up at the end."""
        await self.probe()
        try:
            yield
        finally:
            await self.hang_up()

    async def run(self, stopping: asyncio.Event) -> None:
        """Probe until told to stop; a failing probe is remembered, not raised."""
        told = asyncio.create_task(self._wake_when(stopping))
        try:
            while not stopping.is_set():
                self._breaker.suspected.clear()
                await self.probe()
                await self._pause(stopping)
        finally:
            told.cancel()

    async def _wake_when(self, stopping: asyncio.Event) -> None:
        await stopping.wait()
        self._breaker.suspect()

    async def _pause(self, stopping: asyncio.Event) -> None:
        if self._breaker.is_open:
            await _set_within(stopping, TRIAL_SECONDS)
            return
        if self._is_read_only:
            await _set_within(stopping, RENEW_SECONDS)
            return
        await _set_within(stopping, REST_SECONDS)
        await _set_within(self._breaker.suspected, self._settings.health_interval)

    async def probe(self) -> None:
        """Ask once and remember the answer."""
        started = time.perf_counter()
        try:
            problem = await self._ask()
            self._is_read_only = False
        except ReadOnly as error:
            problem = str(error)
            self._is_read_only = True
        except (psycopg.Error, OSError) as error:
            self._lost = True
            self._breaker.open()
            await self.hang_up()
            self._remember(Status.DOWN, None, failure(error), cause(error))
            return
        latency = time.perf_counter() - started
        if self._breaker.is_open or not self._is_read_only:
            await self._renew_pool()
        self._breaker.schema_is_behind = problem is not None and not self._is_read_only
        self._breaker.close()
        self._remember(Status.DOWN if problem else Status.UP, latency, problem)

    async def _ask(self) -> str | None:
        """That a connection was lost says little about the server: a new one is tried at once."""
        give_up = time.monotonic() + PROBE_SECONDS
        try:
            if self._connection is not None:
                return await self._answer(self._connection, give_up)
        except psycopg.OperationalError as error:
            if time.monotonic() >= give_up:
                raise
            if isinstance(error, ReadOnly) and not self._is_read_only:
                logger.warning("Connecting again to find the primary", problem=str(error))
            self._lost = True
            await self.hang_up()
        self._connection = await connect(self._settings, give_up - time.monotonic())
        # A new connection may reach another server, whose schema has not been checked.
        self._schema_is_current = False
        return await self._answer(self._connection, give_up)

    async def _answer(self, connection: AsyncConnection[Any], give_up: float) -> str | None:
        await require_writes(connection, give_up - time.monotonic())
        return await self._schema_problem(connection)

    async def _schema_problem(self, connection: AsyncConnection[Any]) -> str | None:
        if self._schema_is_current:
            return None
        known = migrations.migrations()
        applied = await bounded(connection, migrations.applied(connection), PROBE_SECONDS)
        if behind := migrations.missing(applied, [m for m in known if not m.is_empty]):
            return f"the schema lacks {', '.join(behind)}: run `platform migrate`"
        ahead = migrations.unknown(applied, known)
        if ahead and ahead != self._ahead:
            logger.info("The schema is ahead of this code.", versions=ahead)
        self._ahead = ahead
        self._schema_is_current = True
        return None

    async def _renew_pool(self) -> None:
        if self._lost and not self._pool.closed:
            await self._pool.drain()
        self._lost = False

    def _remember(
        self,
        status: Status,
        latency: float | None,
        problem: str | None,
        full_problem: str | None = None,
    ) -> None:
        """Store the health for the report, and log the full problem if something changed."""
        before = self._health
        since = before.since if before.status is status else datetime.now(UTC)
        self._health = Health(status, since, latency, problem)
        if (before.status, before.problem) != (status, problem):
            self._tell(full_problem or problem, was_known=before is not self._unasked)

    def _tell(self, problem: str | None, *, was_known: bool) -> None:
        if problem is not None:
            logger.error("PostgreSQL does not work", problem=problem)
        elif was_known:
            logger.info("PostgreSQL is back.")

    async def hang_up(self) -> None:
        """Close the prober's own connection; the next probe opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


async def _set_within(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()

"""Asks PostgreSQL now and then how it is, on a connection of its own, and remembers the answer."""

import asyncio
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import psycopg
from loguru import logger
from psycopg import AsyncConnection

from platform_config import DatabaseSettings
from platform_domain.health import Health, HealthCheck, Status
from platform_infrastructure.postgres import migrations
from platform_infrastructure.postgres.bounded import bounded
from platform_infrastructure.postgres.connect import cause, connect
from platform_infrastructure.postgres.pool import Pool

PROBE_SECONDS = 1.0
POOL_CHECK_SECONDS = 10.0


class DatabaseHealth(HealthCheck):
    """Up while a probe is answered in a second and the schema is not behind the code.

    Each good probe is followed by a look at the pool's idle connections, so that stale ones are
    replaced before a request meets them.
    """

    name = "database"

    def __init__(self, settings: DatabaseSettings, pool: Pool) -> None:
        self._settings = settings
        self._pool = pool
        self._connection: AsyncConnection[Any] | None = None
        self._schema_is_current = False
        self._health = Health(Status.UP, since=datetime.now(UTC))

    def health(self) -> Health:
        return self._health

    async def run(self, stopping: asyncio.Event) -> None:
        """Probe until told to stop; a failing probe is remembered, not raised."""
        try:
            while not stopping.is_set():
                await self.probe()
                with suppress(TimeoutError):
                    await asyncio.wait_for(stopping.wait(), self._settings.health_interval)
        finally:
            await self._hang_up()

    async def probe(self) -> None:
        """Ask once and remember the answer."""
        started = time.perf_counter()
        try:
            problem = await self._ask()
        except (psycopg.Error, OSError) as error:
            await self._hang_up()
            self._remember(Status.DOWN, None, cause(error))
            return
        latency = time.perf_counter() - started
        self._remember(Status.DOWN if problem else Status.UP, latency, problem)
        await self._check_pool()

    async def _ask(self) -> str | None:
        if self._connection is None:
            self._connection = await connect(self._settings)
        await bounded(self._connection, self._connection.execute("SELECT 1"), PROBE_SECONDS)
        return await self._schema_problem(self._connection)

    async def _schema_problem(self, connection: AsyncConnection[Any]) -> str | None:
        if self._schema_is_current:
            return None
        known = migrations.migrations()
        applied = await bounded(connection, migrations.applied(connection), PROBE_SECONDS)
        if behind := migrations.missing(applied, known):
            return f"the schema lacks {', '.join(behind)}: run `platform migrate`"
        if ahead := migrations.unknown(applied, known):
            logger.info("The schema is ahead of this code.", versions=ahead)
        self._schema_is_current = True
        return None

    async def _check_pool(self) -> None:
        if not self._pool.closed:
            # pool.check() swallows a cancellation, so it must not be what we wait for.
            await asyncio.wait(
                {asyncio.create_task(self._pool.check(), name="pool-check")},
                timeout=POOL_CHECK_SECONDS,
            )

    def _remember(self, status: Status, latency: float | None, problem: str | None) -> None:
        before = self._health
        since = before.since if before.status is status else datetime.now(UTC)
        self._health = Health(status, since, latency, problem)
        if status is before.status:
            return
        if status is Status.UP:
            logger.info("PostgreSQL is back.")
        else:
            logger.error("PostgreSQL does not work: {}", problem)

    async def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

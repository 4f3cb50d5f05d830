"""A database behind a faulty network, with everything that stands before it in the server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from platform_infrastructure.postgres.breaker import Breaker
from platform_infrastructure.postgres.connections import Connections
from platform_infrastructure.postgres.database import Database, PostgresUnitOfWork
from platform_infrastructure.postgres.health import DatabaseHealth
from platform_infrastructure.postgres.pool import Pool
from platform_infrastructure.postgres.start import CLOSE_SECONDS
from platform_infrastructure.projects import CreateProject
from tests.infrastructure.postgres.connections import settings_for
from tests.support.fault_proxy import FaultProxy


@dataclass(frozen=True, slots=True)
class Far:
    """What a server has of a database that is reached through `proxy`; the prober is at work."""

    proxy: FaultProxy
    url: str
    breaker: Breaker
    pool: Pool
    connections: Connections
    database: Database
    unit_of_work: PostgresUnitOfWork
    health: DatabaseHealth

    async def create(self, query: CreateProject) -> None:
        """Create a project as a handler does: in a unit of work."""

        async def work() -> None:
            await self.database.run(query)

        await self.unit_of_work.run(work)

    async def until_open(self) -> None:
        while not self.breaker.is_open:  # noqa: ASYNC110 - the server needs no event for it
            await asyncio.sleep(0.01)

    async def until_closed(self) -> None:
        while self.breaker.is_open:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def through(proxy: FaultProxy, url: str) -> str:
    """Return `url` with the proxy in the place of its server."""
    return url.replace(f":{proxy.target}/", f":{proxy.port}/")


@asynccontextmanager
async def far(url: str, **changes: Any) -> AsyncIterator[Far]:
    async with FaultProxy(urlsplit(url).port or 5432) as proxy:
        settings, breaker = settings_for(through(proxy, url), **changes), Breaker()
        pool = Pool(settings, breaker)
        connections = Connections(settings, pool, breaker)
        health = DatabaseHealth(settings, pool, breaker)
        await pool.open(wait=True, timeout=10)
        async with _probed(health):
            yield Far(
                proxy,
                url,
                breaker,
                pool,
                connections,
                Database(connections),
                PostgresUnitOfWork(connections),
                health,
            )
        await pool.close(CLOSE_SECONDS)


@asynccontextmanager
async def _probed(health: DatabaseHealth) -> AsyncIterator[None]:
    stopping = asyncio.Event()
    async with health.opened():
        probing = asyncio.create_task(health.run(stopping))
        try:
            yield
        finally:
            stopping.set()
            await asyncio.wait_for(probing, 5)


async def cancelled(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError, Exception):
            await task

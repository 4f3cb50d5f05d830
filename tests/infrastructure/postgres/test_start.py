import asyncio

import pytest

from platform_infrastructure.postgres.breaker import Breaker
from platform_infrastructure.postgres.pool import Pool
from platform_infrastructure.postgres.start import opened_database
from tests.infrastructure.postgres.connections import settings_for

pytestmark = pytest.mark.anyio


class AnnouncedPool(Pool):
    """Tells when it begins to open."""

    begins: asyncio.Event

    async def open(self, wait: bool = False, timeout: float = 30.0) -> None:
        self.begins.set()
        await super().open(wait, timeout)


async def test_a_start_that_is_broken_off_leaves_no_pool_behind(database_url: str) -> None:
    """Its tasks take no cancellation while they connect, and would keep the event loop."""
    settings = settings_for(database_url)
    pool = AnnouncedPool(settings, Breaker())
    pool.begins = asyncio.Event()
    before = asyncio.all_tasks()
    database = opened_database(settings, pool, migrating=False)
    starting = asyncio.ensure_future(database.__aenter__())

    await pool.begins.wait()
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting

    assert pool.closed
    assert asyncio.all_tasks() == before

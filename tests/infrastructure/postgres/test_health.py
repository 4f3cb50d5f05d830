import asyncio
from collections.abc import AsyncIterator

import pytest

from platform_domain.health import Status
from platform_infrastructure.postgres.database import Database
from platform_infrastructure.postgres.health import DatabaseHealth
from platform_infrastructure.postgres.pool import Pool
from tests.infrastructure.postgres.connections import ask, open_pool, settings_for
from tests.infrastructure.postgres.test_database import Backend

pytestmark = pytest.mark.anyio

KILL_ALL = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


@pytest.fixture
async def pool(fresh_database_url: str) -> AsyncIterator[Pool]:
    async with open_pool(fresh_database_url, pool_min_size=3, pool_max_size=3) as pool:
        yield pool


async def stopped_after(health: DatabaseHealth) -> None:
    """Let the prober run once and tell it to stop."""
    stopping = asyncio.Event()
    stopping.set()
    await health.run(stopping)


async def test_a_database_that_answers_is_up(pool: Pool, fresh_database_url: str) -> None:
    health = DatabaseHealth(settings_for(fresh_database_url), pool)

    await health.probe()

    assert health.health().status is Status.UP
    assert 0 < (health.health().latency or 0) < 10
    await stopped_after(health)


async def test_stale_connections_are_replaced_before_a_request_meets_them(
    pool: Pool, fresh_database_url: str
) -> None:
    health = DatabaseHealth(settings_for(fresh_database_url), pool)
    database = Database(pool)
    before = {await database.run(Backend())}
    ask(fresh_database_url, KILL_ALL)

    await health.probe()

    after = {await database.run(Backend()) for _ in range(6)}
    assert not before & after
    await stopped_after(health)


async def test_a_probe_whose_own_connection_died_recovers(
    pool: Pool, fresh_database_url: str
) -> None:
    health = DatabaseHealth(settings_for(fresh_database_url), pool)
    await health.probe()
    ask(fresh_database_url, KILL_ALL)

    await health.probe()
    down = health.health()
    await health.probe()

    assert down.status is Status.DOWN
    assert down.problem
    assert health.health().status is Status.UP
    assert health.health().since > down.since
    await stopped_after(health)


async def test_a_server_that_cannot_be_reached_is_down(pool: Pool) -> None:
    nowhere = settings_for("postgresql://nobody@127.0.0.1:1/nothing")
    health = DatabaseHealth(nowhere, pool)

    await health.probe()

    assert health.health().status is Status.DOWN


async def test_a_schema_behind_the_code_is_down_until_it_is_migrated(
    pool: Pool, fresh_database_url: str
) -> None:
    (latest,) = ask(fresh_database_url, "SELECT max(version) FROM schema_migrations")
    ask(fresh_database_url, "DELETE FROM schema_migrations WHERE version = %s", *latest)
    health = DatabaseHealth(settings_for(fresh_database_url), pool)

    await health.probe()
    behind = health.health()
    ask(fresh_database_url, "INSERT INTO schema_migrations VALUES (%s)", *latest)
    await health.probe()

    assert behind.status is Status.DOWN
    assert "platform migrate" in (behind.problem or "")
    assert health.health().status is Status.UP
    await stopped_after(health)


async def test_a_schema_ahead_of_the_code_is_fine(pool: Pool, fresh_database_url: str) -> None:
    ask(fresh_database_url, "INSERT INTO schema_migrations VALUES ('99999999999999')")
    health = DatabaseHealth(settings_for(fresh_database_url), pool)

    await health.probe()

    assert health.health().status is Status.UP
    await stopped_after(health)


async def test_the_prober_goes_on_until_it_is_told_to_stop(
    pool: Pool, fresh_database_url: str
) -> None:
    health = DatabaseHealth(settings_for(fresh_database_url, health_interval=0.01), pool)
    stopping = asyncio.Event()
    running = asyncio.create_task(health.run(stopping))
    seen: set[float | None] = set()
    async with asyncio.timeout(10):
        while len(seen) < 3:  # The first, with no probe yet, and two probes.
            seen.add(health.health().latency)
            await asyncio.sleep(0.01)

    stopping.set()

    await asyncio.wait_for(running, 5)

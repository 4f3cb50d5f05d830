import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from loguru import logger

from platform_domain.health import Status
from platform_infrastructure.postgres.breaker import Breaker
from platform_infrastructure.postgres.connections import Connections
from platform_infrastructure.postgres.database import Database
from platform_infrastructure.postgres.health import DatabaseHealth
from platform_infrastructure.postgres.pool import Pool
from tests.infrastructure.postgres.connections import ask, open_pool, settings_for
from tests.infrastructure.postgres.faults import far
from tests.infrastructure.postgres.queries import Backend

pytestmark = pytest.mark.anyio

KILL_ALL = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


@pytest.fixture
async def pool(fresh_database_url: str) -> AsyncIterator[Pool]:
    async with open_pool(fresh_database_url, pool_min_size=3, pool_max_size=3) as pool:
        yield pool


async def test_a_database_that_answers_is_up(pool: Pool, fresh_database_url: str) -> None:
    health = DatabaseHealth(settings_for(fresh_database_url), pool, Breaker())

    await health.probe()

    assert health.health().status is Status.UP
    assert 0 < (health.health().latency or 0) < 10
    await health.hang_up()


async def test_a_lost_connection_is_no_outage_and_the_stale_ones_are_replaced(
    fresh_database_url: str,
) -> None:
    breaker, opened = Breaker(), list[str]()
    breaker.on_open(lambda: opened.append("opened"))
    async with open_pool(fresh_database_url, breaker, pool_max_size=3) as pool:
        settings = settings_for(fresh_database_url)
        health = DatabaseHealth(settings, pool, breaker)
        connections = Connections(settings, pool, breaker)
        await health.probe()
        before = {await Database(connections).run(Backend())}
        ask(fresh_database_url, KILL_ALL)

        await health.probe()

        after = {await Database(connections).run(Backend()) for _ in range(6)}
        assert not before & after
        assert connections.stats().lost == 0, "no request met a stale one"
        assert opened == []
        assert health.health().status is Status.UP
        await health.hang_up()


async def test_a_failed_probe_opens_the_breaker_and_a_good_one_closes_it(
    fresh_database_url: str,
) -> None:
    async with far(fresh_database_url, health_interval=60) as there:
        there.proxy.refuse()
        await there.health.probe()
        down, was_open = there.health.health(), there.breaker.is_open
        await there.proxy.restore()
        await there.health.probe()

        assert was_open
        assert (down.status, down.latency) == (Status.DOWN, None)
        assert "refused" in (down.problem or "")
        assert "(OperationalError)" in (down.problem or "")
        assert not there.breaker.is_open
        assert there.health.health().status is Status.UP
        assert there.health.health().since > down.since


@pytest.mark.parametrize("fault", ["blackhole", "stall"])
async def test_a_probe_of_a_silent_server_takes_a_second(
    fresh_database_url: str, fault: str
) -> None:
    async with far(fresh_database_url, health_interval=60) as there:
        getattr(there.proxy, fault)()
        began = time.monotonic()

        await there.health.probe()

        assert time.monotonic() - began < 1.3
        assert "no answer within" in (there.health.health().problem or "")


async def test_a_server_that_cannot_be_reached_is_down(pool: Pool) -> None:
    nowhere = settings_for("postgresql://nobody@127.0.0.1:1/nothing")
    health = DatabaseHealth(nowhere, pool, Breaker())

    await health.probe()

    assert health.health().status is Status.DOWN


async def test_the_report_names_no_role_and_the_log_has_the_whole_reason(
    pool: Pool, fresh_database_url: str
) -> None:
    lines: list[str] = []
    sink = logger.add(lines.append, format="{message} {extra}", level="ERROR")
    role = "role_that_is_not_there"
    url = f"postgresql://{role}:a-secret@{fresh_database_url.partition('@')[2]}"
    health = DatabaseHealth(settings_for(url), pool, Breaker())

    await health.probe()
    await health.probe()

    logger.remove(sink)
    problem = health.health().problem
    assert problem == "the server rejects our credentials or settings (OperationalError)"
    assert len(lines) == 1
    assert role in lines[0]
    assert "a-secret" not in lines[0]


async def test_another_reason_to_be_down_is_logged_too(fresh_database_url: str) -> None:
    lines: list[str] = []
    sink = logger.add(lines.append, format="{message} {extra}", level="ERROR")
    async with far(fresh_database_url, health_interval=60) as there:
        there.proxy.refuse()
        await there.health.probe()
        since = there.health.health().since
        await there.proxy.restore()
        there.proxy.blackhole()
        await there.health.probe()
        await there.health.probe()
        logger.remove(sink)

        assert there.health.health().since == since
    assert ["refused" in line for line in lines] == [True, False]


async def test_a_schema_behind_the_code_is_down_until_it_is_migrated(
    pool: Pool, fresh_database_url: str
) -> None:
    (latest,) = ask(fresh_database_url, "SELECT max(version) FROM schema_migrations")
    ask(fresh_database_url, "DELETE FROM schema_migrations WHERE version = %s", *latest)
    health = DatabaseHealth(settings_for(fresh_database_url), pool, Breaker())

    await health.probe()
    behind = health.health()
    ask(fresh_database_url, "INSERT INTO schema_migrations VALUES (%s)", *latest)
    await health.probe()

    assert behind.status is Status.DOWN
    assert "platform migrate" in (behind.problem or "")
    assert health.health().status is Status.UP
    await health.hang_up()


async def test_a_schema_ahead_of_the_code_is_fine(pool: Pool, fresh_database_url: str) -> None:
    ask(fresh_database_url, "INSERT INTO schema_migrations VALUES ('99999999999999')")
    health = DatabaseHealth(settings_for(fresh_database_url), pool, Breaker())

    await health.probe()

    assert health.health().status is Status.UP
    await health.hang_up()


async def test_the_prober_goes_on_until_it_is_told_to_stop(
    pool: Pool, fresh_database_url: str
) -> None:
    health = DatabaseHealth(settings_for(fresh_database_url, health_interval=0.01), pool, Breaker())
    stopping = asyncio.Event()
    running = asyncio.create_task(health.run(stopping))
    seen: set[float | None] = set()
    async with asyncio.timeout(10):
        while len(seen) < 3:  # The first, with no probe yet, and two probes.
            seen.add(health.health().latency)
            await asyncio.sleep(0.01)

    stopping.set()

    await asyncio.wait_for(running, 5)
    await health.hang_up()


async def test_nobody_is_told_that_it_is_up_before_it_was_asked(
    pool: Pool, fresh_database_url: str
) -> None:
    health = DatabaseHealth(settings_for(fresh_database_url), pool, Breaker())
    assert health.health().status is Status.DOWN

    async with health.opened():
        assert health.health().status is Status.UP

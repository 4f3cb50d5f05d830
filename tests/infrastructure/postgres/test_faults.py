"""What callers see of a database that fails, behind a network that fails."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from typing import Any
from uuid import uuid4

import pytest

from platform_domain.errors import OutcomeUnknown, Unavailable
from platform_domain.health import Status
from platform_infrastructure.projects import CreateProject
from tests.infrastructure.postgres.connections import ask
from tests.infrastructure.postgres.faults import Far, cancelled, far
from tests.infrastructure.postgres.queries import Backend, CountProjects, Sleep, Touch

pytestmark = pytest.mark.anyio

TERMINATE_ALL = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


@pytest.fixture
async def there(fresh_database_url: str) -> AsyncIterator[Far]:
    async with far(fresh_database_url, pool_min_size=3, pool_max_size=5) as there:
        yield there


def new_project(name: str = "Storyboard") -> CreateProject:
    return CreateProject(id=uuid4(), owner="alice", name=name)


async def seconds_until_unavailable(work: Awaitable[Any]) -> float:
    began = time.monotonic()
    with pytest.raises(Unavailable):
        await work
    return time.monotonic() - began


@pytest.mark.parametrize("how", ["reset", "terminated"])
async def test_readers_do_not_notice_that_all_connections_were_lost(there: Far, how: str) -> None:
    before = {await there.database.run(Backend())}

    if how == "reset":
        there.proxy.reset()
    else:
        ask(there.url, TERMINATE_ALL)
    after = await asyncio.gather(*(there.database.run(Backend()) for _ in range(20)))

    assert not before & set(after)
    assert there.health.health().status is Status.UP, "the server itself was never down"


@pytest.mark.parametrize("how", ["reset", "terminated"])
async def test_a_unit_of_work_does_not_begin_on_a_connection_that_was_lost(
    there: Far, how: str
) -> None:
    if how == "reset":
        there.proxy.reset()
    else:
        ask(there.url, TERMINATE_ALL)

    await asyncio.gather(*(there.create(new_project(str(n))) for n in range(10)))

    assert await there.database.run(CountProjects()) == 10


async def test_a_read_under_way_is_repeated_when_its_connection_is_lost(there: Far) -> None:
    reading = asyncio.create_task(there.database.run(Sleep(seconds=0.3)))
    await asyncio.sleep(0.1)

    there.proxy.reset()

    assert await asyncio.wait_for(reading, 3) == 1


@pytest.mark.parametrize("before", [True, False])
async def test_a_write_whose_connection_was_lost_is_never_repeated(
    there: Far, before: bool
) -> None:
    await there.create(new_project())
    there.proxy.cut(b"UPDATE", before=before)

    with pytest.raises(OutcomeUnknown):
        await there.database.run(Touch(name="Storyboard"))

    assert ask(there.url, "SELECT version FROM projects") == [(1 if before else 2,)]


@pytest.mark.parametrize("before", [True, False])
async def test_a_lost_commit_is_an_unknown_outcome_and_not_repeated(
    there: Far, before: bool
) -> None:
    there.proxy.cut(b"COMMIT", before=before)

    with pytest.raises(OutcomeUnknown):
        await there.create(new_project())

    assert ask(there.url, "SELECT count(*) FROM projects") == [(0 if before else 1,)]


async def test_what_was_lost_before_the_commit_was_not_saved(there: Far) -> None:
    there.proxy.cut(b"INSERT", before=False)

    with pytest.raises(Unavailable) as caught:
        await there.create(new_project())

    assert not isinstance(caught.value, OutcomeUnknown)
    assert ask(there.url, "SELECT count(*) FROM projects") == [(0,)]


@pytest.mark.parametrize("fault", ["blackhole", "stall"])
async def test_a_silent_server_is_told_within_two_seconds(there: Far, fault: str) -> None:
    """Two readers under way, one unit of work, and more who wait for a connection."""
    under_way = [asyncio.create_task(there.database.run(Sleep(seconds=30))) for _ in range(3)]
    await asyncio.sleep(0.05)
    getattr(there.proxy, fault)()

    work = [there.create(new_project(str(n))) for n in range(2)]
    reads = [there.database.run(CountProjects()) for _ in range(5)]
    seconds = await asyncio.gather(
        *(seconds_until_unavailable(each) for each in (*under_way, *work, *reads))
    )

    assert max(seconds) < 2
    assert there.breaker.is_open
    assert there.health.health().status is Status.DOWN


async def test_nobody_waits_while_the_breaker_is_open(there: Far) -> None:
    there.proxy.refuse()
    there.breaker.suspect()
    await there.until_open()

    for work in (there.database.run(CountProjects()), there.create(new_project())):
        assert await seconds_until_unavailable(work) < 0.05


async def test_who_waits_for_a_connection_is_told_when_the_breaker_opens(
    fresh_database_url: str,
) -> None:
    async with far(fresh_database_url, pool_min_size=1, pool_max_size=1, pool_timeout=30) as there:
        busy = asyncio.create_task(there.database.run(Sleep(seconds=30)))
        await asyncio.sleep(0.05)
        queued = asyncio.create_task(there.database.run(CountProjects()))
        other = asyncio.create_task(there.create(new_project()))
        await asyncio.sleep(0.05)
        waiting = there.connections.stats().waiting
        there.proxy.blackhole()

        seconds = await asyncio.gather(*map(seconds_until_unavailable, (busy, queued, other)))

    assert waiting == 2, "one for its module's share, one for the pool"
    assert max(seconds) < 2


async def test_nothing_is_connected_while_the_breaker_is_open(there: Far) -> None:
    there.proxy.refuse()
    there.breaker.suspect()
    await there.until_open()
    await there.pool.drain()

    await asyncio.sleep(1.5)  # The pool's own second attempt would come after one second.
    await there.proxy.restore()
    await there.until_closed()
    await there.database.run(CountProjects())

    assert "connections_errors" not in there.pool.get_stats(), "psycopg_pool leaves out zeros"


async def test_a_transaction_that_the_server_ended_is_unavailable(
    fresh_database_url: str,
) -> None:
    async with far(fresh_database_url, statement_timeout=0.1) as there:

        async def dawdle() -> None:
            await there.database.run(CountProjects())
            await asyncio.sleep(0.4)  # Longer than a transaction may be idle.
            await there.database.run(CountProjects())

        with pytest.raises(Unavailable):
            await there.unit_of_work.run(dawdle)


@pytest.mark.parametrize("fault", ["refuse", "blackhole", "stall"])
async def test_the_first_good_answer_comes_soon_after_the_end(there: Far, fault: str) -> None:
    getattr(there.proxy, fault)()
    there.breaker.suspect()
    await there.until_open()
    await asyncio.sleep(1)

    await there.proxy.restore()
    began = time.monotonic()
    await there.until_closed()
    await asyncio.gather(*(there.database.run(CountProjects()) for _ in range(5)))
    await there.create(new_project())

    assert time.monotonic() - began < 2
    assert there.health.health().status is Status.UP


async def test_a_cancelled_query_ends_soon_even_on_a_silent_server(there: Far) -> None:
    asking = asyncio.create_task(there.database.run(Sleep(seconds=30)))
    await asyncio.sleep(0.05)
    there.proxy.blackhole()
    began = time.monotonic()

    await cancelled(asking)

    assert time.monotonic() - began < 1


async def test_a_cancelled_query_leaves_a_healthy_connection(fresh_database_url: str) -> None:
    async with far(fresh_database_url, pool_min_size=1, pool_max_size=1) as there:
        backend = await there.database.run(Backend())
        asking = asyncio.create_task(there.database.run(Sleep(seconds=30)))
        await asyncio.sleep(0.05)

        await cancelled(asking)

        assert await there.database.run(Backend()) == backend


async def test_an_idle_connection_is_checked_before_it_is_lent(
    there: Far, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No suspicion here: what is lost is found out before anything is asked."""
    monkeypatch.setattr("platform_infrastructure.postgres.pool.CHECK_AFTER_IDLE_SECONDS", 0.0)
    there.proxy.reset()

    await asyncio.gather(*(there.create(new_project(str(n))) for n in range(5)))

    assert there.connections.stats().lost == 0


async def test_a_module_that_is_slow_leaves_connections_to_the_others(
    fresh_database_url: str,
) -> None:
    async with far(fresh_database_url, pool_max_size=5) as there:
        slow = [asyncio.create_task(there.database.run(Sleep(seconds=5))) for _ in range(20)]
        await asyncio.sleep(0.1)
        began = time.monotonic()

        other = new_project()  # Its class is another module's.
        await there.create(other)

        assert time.monotonic() - began < 0.5
        stats = there.connections.stats()
        assert (stats.lent, stats.waiting) == (3, 17)
        await cancelled(*slow)


async def test_the_stop_is_quick_while_the_server_is_silent(fresh_database_url: str) -> None:
    async with far(fresh_database_url, pool_min_size=5, pool_max_size=5) as there:
        lost = [asyncio.create_task(there.database.run(Sleep(seconds=30))) for _ in range(3)]
        await asyncio.sleep(0.05)
        there.proxy.blackhole()
        there.breaker.suspect()
        await asyncio.gather(*lost, return_exceptions=True)
        began = time.monotonic()

    assert time.monotonic() - began < 2


async def test_the_stop_is_quick_while_a_silent_server_is_being_connected(
    fresh_database_url: str,
) -> None:
    async with far(fresh_database_url, pool_min_size=2, pool_max_size=2) as there:
        there.proxy.blackhole()
        await there.pool.drain()
        await asyncio.sleep(0.1)
        began = time.monotonic()

    assert time.monotonic() - began < 2


async def test_stats_tell_what_the_pool_does(there: Far) -> None:
    busy = asyncio.create_task(there.database.run(Sleep(seconds=30)))
    await asyncio.sleep(0.05)

    stats = there.connections.stats()
    await cancelled(busy)

    assert (stats.size, stats.lent, stats.idle, stats.waiting) == (3, 1, 2, 0)
    assert (stats.refused, stats.lost) == (0, 0)

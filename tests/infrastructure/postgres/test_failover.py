"""What becomes of writes, reads, events and health when the service gets another primary."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from platform_domain.errors import Unavailable
from platform_domain.events import TopicName
from platform_domain.health import Status
from platform_infrastructure.events.postgres import PostgresEventBus
from platform_infrastructure.projects import CreateProject
from tests.infrastructure.events.nodes import Listener, eventually, running
from tests.infrastructure.postgres.connections import ask, settings_for
from tests.infrastructure.postgres.faults import Far, far, through
from tests.infrastructure.postgres.primaries import Primaries, migrated, primaries
from tests.infrastructure.postgres.queries import CountProjects

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

COUNT = "SELECT count(*) FROM projects"
SECONDS = 10.0
"""Measured: 0.1 s where a request meets the old server, 0.6 s where only the prober does."""


@pytest.fixture(scope="module")
def migrated_folder() -> Iterator[Path]:
    with migrated() as folder:
        yield folder


@pytest.fixture
def both(migrated_folder: Path) -> Iterator[Primaries]:
    with primaries(migrated_folder) as both:
        yield both


@pytest.fixture
async def there(both: Primaries) -> AsyncIterator[Far]:
    """Nothing but what a request meets makes the prober look within the minute."""
    async with far(both.old.url, pool_min_size=3, pool_max_size=5, health_interval=60) as there:
        yield there


def new_project() -> CreateProject:
    return CreateProject(id=uuid4(), owner="alice", name=str(uuid4()))


async def until_done(work: Callable[[], Awaitable[Any]]) -> None:
    async with asyncio.timeout(SECONDS):
        while True:
            try:
                await work()
                return
            except Unavailable:
                await asyncio.sleep(0.05)


async def until_refused(there: Far) -> None:
    """Return when a session has read the changed configuration. Each does so in its own time."""

    async def create_many() -> None:
        while True:
            await there.create(new_project())

    with pytest.raises(Unavailable):
        await asyncio.wait_for(create_many(), SECONDS)


def is_down(there: Far) -> bool:
    return there.health.health().status is Status.DOWN


async def test_a_write_that_meets_the_old_primary_leads_all_to_the_new_one(
    there: Far, both: Primaries, log: list[str]
) -> None:
    there.proxy.target = both.new.port
    both.set_read_only()
    await until_refused(there)
    kept = ask(both.old.url, COUNT)

    await until_done(lambda: there.create(new_project()))
    counts = await asyncio.gather(*(there.database.run(CountProjects()) for _ in range(10)))

    assert set(counts) == {1}, "reads come from the new one as well"
    assert (ask(both.old.url, COUNT), ask(both.new.url, COUNT)) == (kept, [(1,)])
    there.breaker.suspect()  # The prober's session may have read the configuration later.
    await eventually(lambda: log == ["Connecting again to find the primary"])
    assert there.health.health().status is Status.UP


async def test_while_no_server_takes_writes_the_database_is_down_and_reads_go_on(
    there: Far, both: Primaries, log: list[str]
) -> None:
    both.set_read_only()
    await until_refused(there)
    kept = await there.database.run(CountProjects())
    made = there.pool.get_stats()["connections_num"]

    for _ in range(40):
        with pytest.raises(Unavailable):
            await there.database.run(new_project())
        assert await there.database.run(CountProjects()) == kept
        await asyncio.sleep(0.05)
    health = there.health.health()
    made = there.pool.get_stats()["connections_num"] - made

    assert health.status is Status.DOWN
    assert health.problem == "the server takes no writes: default_transaction_read_only is on"
    assert not there.breaker.is_open
    assert made <= 5 * 8, "at most one new pool a second"
    assert len(log) == 2, "it is said once that another is looked for, and once that it is down"

    both.set_read_only(on=False)
    await eventually(lambda: not is_down(there))
    await there.create(new_project())


async def test_a_standby_is_left_without_any_request(there: Far, both: Primaries) -> None:
    await asyncio.to_thread(both.demote)
    there.proxy.target = both.old.port
    there.breaker.suspect()
    await eventually(lambda: there.health.health().problem is not None and is_down(there))
    standby = "the server takes no writes: it is a standby"
    await eventually(lambda: there.health.health().problem == standby)

    async def serializable() -> None:
        await there.database.run(CountProjects())

    assert await there.database.run(CountProjects()) == 0
    with pytest.raises(Unavailable):
        await there.create(new_project())
    with pytest.raises(Unavailable):
        await there.unit_of_work.run(serializable, serializable=True)

    there.proxy.target = both.new.port
    await eventually(lambda: not is_down(there))
    await there.create(new_project())
    assert ask(both.new.url, COUNT) == [(1,)]


async def test_events_come_from_the_new_primary(there: Far, both: Primaries) -> None:
    settings = settings_for(through(there.proxy, both.old.url))
    bus = PostgresEventBus(settings, there.database)
    listener = Listener(bus, TopicName("news"))
    async with running(bus, bus.run):
        await listener.subscribe()
        await bus.publish(listener.topic, b"old")
        await listener.hears(1)
        there.proxy.target = both.new.port
        both.set_read_only()

        await until_done(lambda: bus.publish(listener.topic, b"new"))
        await listener.hears(2)

    assert listener.data == [b"old", b"new"]
    assert listener.interruptions == 1
    assert ask(both.old.url, "SELECT count(*) FROM event_log") == [(1,)]


async def test_the_schema_of_the_new_primary_is_checked(there: Far, both: Primaries) -> None:
    (latest,) = ask(both.new.url, "SELECT max(version) FROM schema_migrations")
    ask(both.new.url, "DELETE FROM schema_migrations WHERE version = %s", *latest)
    there.proxy.target = both.new.port
    both.set_read_only()

    await until_refused(there)

    await eventually(lambda: is_down(there))
    assert f"the schema lacks {latest[0]}" in (there.health.health().problem or "")

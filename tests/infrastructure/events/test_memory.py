from uuid import uuid4

import pytest

from platform_domain.event_bus import Delivery, Position
from platform_domain.events import TopicName
from platform_infrastructure.events.engine import RETAINED_SECONDS
from platform_infrastructure.events.memory import MemoryEventBus
from platform_infrastructure.postgres.database import Database, PostgresUnitOfWork
from platform_infrastructure.projects import CreateProject
from tests.infrastructure.events.nodes import Listener
from tests.infrastructure.postgres.connections import ask, opened

pytestmark = pytest.mark.anyio

NEWS, OTHER = TopicName("news"), TopicName("other")


async def test_listeners_are_told_when_others_can_see_what_was_stored(database_url: str) -> None:
    bus = MemoryEventBus()
    seen_when_told: list[object] = []

    def hear(delivery: Delivery) -> None:
        seen_when_told.extend(ask(database_url, "SELECT count(*) FROM projects"))

    await bus.subscribe(NEWS, hear, lambda: None)
    async with opened(database_url) as connections:
        database = Database(connections)

        async def work() -> None:
            await bus.publish(NEWS, b"kept")
            await database.run(CreateProject(id=uuid4(), owner="alice", name="a"))

        await PostgresUnitOfWork(connections).run(work)

    assert seen_when_told == [(1,)]


async def test_events_outside_of_work_are_told_at_once() -> None:
    bus = MemoryEventBus()
    listener = Listener(bus, NEWS)
    await listener.subscribe()

    await bus.publish(NEWS, b"1")

    assert listener.data == [b"1"]


async def test_a_topic_that_was_silent_for_a_day_keeps_its_place_but_no_events() -> None:
    now = 0.0
    bus = MemoryEventBus(clock=lambda: now)
    await bus.publish(NEWS, b"old")
    (head,) = await bus.heads([NEWS])
    start = Position(head.epoch, 0)

    now = RETAINED_SECONDS
    await bus.publish(OTHER, b"in time")
    still_kept = await bus.replay(NEWS, start)
    now += 1
    await bus.publish(OTHER, b"a second too late")
    forgotten = await bus.replay(NEWS, start)

    assert still_kept.complete
    assert (forgotten.complete, forgotten.head) == (False, head)
    await bus.publish(NEWS, b"new")
    assert [event.data for event in (await bus.replay(NEWS, head)).events] == [b"new"]


async def test_a_new_process_is_a_new_epoch() -> None:
    (before,) = await MemoryEventBus().heads([NEWS])

    replay = await MemoryEventBus().replay(NEWS, before)

    assert not replay.complete

"""What every engine promises, whatever carries the events."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import uuid4

import pytest

from platform_domain.errors import Conflict, Contended
from platform_domain.event_bus import Position
from platform_domain.events import EventTooLarge, TopicName
from platform_infrastructure.events.engine import MAX_EVENT_BYTES, RETAINED_EVENTS
from platform_infrastructure.projects import CreateProject
from tests.infrastructure.events.nodes import Listener, Node, Site

pytestmark = pytest.mark.anyio

NEWS = TopicName("project:1 {news}")
OTHER = TopicName("user:älice")


async def test_listeners_hear_what_comes_after_the_place_they_were_told(site: Site) -> None:
    async with site.node() as node:
        listener = Listener(node.bus, NEWS)
        await node.bus.publish(NEWS, b"before")

        start = await listener.subscribe()
        await publish(node, NEWS, b"1", b"2")

        assert await listener.hears(2) == [b"1", b"2"]
        assert start.offset == 1
        assert [delivery.position for delivery in listener.heard] == [
            Position(start.epoch, 2),
            Position(start.epoch, 3),
        ]
        assert {delivery.topic for delivery in listener.heard} == {NEWS}


async def test_each_topic_has_its_own_numbers(site: Site) -> None:
    async with site.node() as node:
        news, other = Listener(node.bus, NEWS), Listener(node.bus, OTHER)
        await news.subscribe()
        await other.subscribe()

        await publish(node, NEWS, b"1", b"2")
        await publish(node, OTHER, b"3")

        assert await news.hears(2) == [b"1", b"2"]
        assert await other.hears(1) == [b"3"]
        assert (news.offsets, other.offsets) == ([1, 2], [1])


async def test_whatever_bytes_an_event_has_arrive(site: Site) -> None:
    largest = bytes(range(256)) * (MAX_EVENT_BYTES // 256)
    async with site.node() as node:
        listener = Listener(node.bus, NEWS)
        start = await listener.subscribe()

        await publish(node, NEWS, b"", b" \r\n", largest)

        assert await listener.hears(3) == [b"", b" \r\n", largest]
        replay = await node.bus.replay(NEWS, start)
        assert [event.data for event in replay.events] == [b"", b" \r\n", largest]


async def test_an_event_above_the_cap_is_refused_and_takes_no_number(site: Site) -> None:
    async with site.node() as node:
        with pytest.raises(EventTooLarge) as refused:
            await node.bus.publish(NEWS, bytes(MAX_EVENT_BYTES + 1))

        assert refused.value.details == {"max_bytes": MAX_EVENT_BYTES}
        assert [head.offset for head in await node.bus.heads([NEWS])] == [0]


async def test_concurrent_publishers_make_one_order_for_everybody(site: Site) -> None:
    async with site.node() as here, site.node() as there:
        listeners = [Listener(here.bus, NEWS), Listener(there.bus, NEWS)]
        starts = [await listener.subscribe() for listener in listeners]
        sent = [b"%d" % number for number in range(40)]

        async with asyncio.TaskGroup() as group:
            for number, data in enumerate(sent):
                group.create_task((here, there)[number % 2].bus.publish(NEWS, data))

        heard = [await listener.hears(len(sent)) for listener in listeners]
        replay = await there.bus.replay(NEWS, starts[0])
        assert listeners[0].offsets == list(range(1, len(sent) + 1))
        assert sorted(heard[0]) == sorted(sent)
        assert heard[0] == heard[1] == [event.data for event in replay.events]


async def test_several_may_listen_and_leave_on_their_own(site: Site) -> None:
    async with site.node() as node:
        stays, leaves = Listener(node.bus, NEWS), Listener(node.bus, NEWS)
        await stays.subscribe()
        await leaves.subscribe()
        await publish(node, NEWS, b"both")
        await leaves.hears(1)

        await leaves.unsubscribe()
        late = Listener(node.bus, NEWS)
        start = await late.subscribe()
        await publish(node, NEWS, b"who stays")

        assert await late.hears(1) == [b"who stays"]
        assert await stays.hears(2) == [b"both", b"who stays"]
        assert leaves.data == [b"both"]
        assert start.offset == 1


async def test_who_subscribes_while_events_come_misses_none_after_the_place(site: Site) -> None:
    async with site.node() as node:
        publishing = asyncio.create_task(publish(node, NEWS, *[b"x"] * 200))
        listeners = [Listener(node.bus, NEWS) for _ in range(5)]

        starts = await asyncio.gather(*(listener.subscribe() for listener in listeners))
        await publishing

        for start, listener in zip(starts, listeners, strict=True):
            await listener.hears(200 - start.offset)
            assert listener.offsets == list(range(start.offset + 1, 201))


async def test_a_topic_that_was_left_can_be_heard_again(site: Site) -> None:
    async with site.node() as node:
        listener = Listener(node.bus, NEWS)
        await listener.subscribe()
        await listener.unsubscribe()
        await publish(node, NEWS, b"unheard")

        start = await listener.subscribe()
        await publish(node, NEWS, b"heard")

        assert await listener.hears(1) == [b"heard"]
        assert start.offset == 1


async def test_what_was_missed_is_replayed_in_order(site: Site) -> None:
    async with site.node() as node:
        (start,) = await node.bus.heads([NEWS])
        await publish(node, NEWS, b"1", b"2", b"3")

        replay = await node.bus.replay(NEWS, Position(start.epoch, 1))

        assert [event.data for event in replay.events] == [b"2", b"3"]
        assert [event.position.offset for event in replay.events] == [2, 3]
        assert replay.head == Position(start.epoch, 3)
        assert replay.complete


async def test_a_replay_from_the_head_is_empty_and_complete(site: Site) -> None:
    async with site.node() as node:
        (start,) = await node.bus.heads([NEWS])
        silent = await node.bus.replay(NEWS, start)
        await publish(node, NEWS, b"1")
        head = Position(start.epoch, 1)

        replay = await node.bus.replay(NEWS, head)

        assert (silent.events, silent.head, silent.complete) == ((), start, True)
        assert (replay.events, replay.head, replay.complete) == ((), head, True)


@pytest.mark.parametrize("offset", [-1, 3, 2**60])
async def test_a_place_that_never_was_cannot_be_replayed_from(site: Site, offset: int) -> None:
    async with site.node() as node:
        await publish(node, NEWS, b"1", b"2")
        (head,) = await node.bus.heads([NEWS])

        replay = await node.bus.replay(NEWS, Position(head.epoch, offset))

        assert (replay.events, replay.head, replay.complete) == ((), head, False)


@pytest.mark.parametrize("topic", [NEWS, OTHER])
async def test_a_place_of_another_epoch_cannot_be_replayed_from(
    site: Site, topic: TopicName
) -> None:
    async with site.node() as node:
        await publish(node, NEWS, b"1", b"2")
        (head,) = await node.bus.heads([topic])

        replay = await node.bus.replay(topic, Position("another one", 1))

        assert (replay.events, replay.head, replay.complete) == ((), head, False)


async def test_a_thousand_events_can_be_replayed_and_one_more_cannot(site: Site) -> None:
    async with site.node() as node:
        (start,) = await node.bus.heads([NEWS])
        await publish(node, NEWS, *[b"%d" % number for number in range(RETAINED_EVENTS + 1)])

        too_old = await node.bus.replay(NEWS, start)
        all_kept = await node.bus.replay(NEWS, Position(start.epoch, 1))

        assert (too_old.events, too_old.complete) == ((), False)
        assert all_kept.complete
        assert [event.data for event in all_kept.events][:2] == [b"1", b"2"]
        assert len(all_kept.events) == RETAINED_EVENTS


async def test_heads_come_in_the_order_asked_for_and_are_the_same_on_every_node(
    site: Site,
) -> None:
    async with site.node() as here, site.node() as there:
        await publish(here, NEWS, b"1", b"2")
        topics = [OTHER, NEWS, TopicName("silent")]

        heads = await here.bus.heads(topics)

        assert [head.offset for head in heads] == [0, 2, 0]
        assert await there.bus.heads(topics) == heads
        assert await there.bus.heads([]) == []


async def test_work_tells_with_its_commit_and_nothing_when_it_is_rolled_back(site: Site) -> None:
    async with site.node() as node, site.node() as other:
        listener = Listener(other.bus, NEWS)
        await listener.subscribe()

        async def work() -> None:
            await publish(node, NEWS, b"kept")
            await node.database.run(CreateProject(id=uuid4(), owner="alice", name="a"))
            assert listener.data == []

        async def fails() -> None:
            await publish(node, NEWS, b"lost")
            await node.database.run(CreateProject(id=uuid4(), owner="alice", name="b"))
            raise Conflict

        with pytest.raises(Conflict):
            await node.unit_of_work.run(fails)
        await node.unit_of_work.run(work)
        await listener.hears(1)
        await node.bus.publish(NEWS, b"later")

        assert await listener.hears(2) == [b"kept", b"later"]
        assert listener.offsets == [1, 2]


async def test_work_that_is_repeated_tells_once(site: Site) -> None:
    async with site.node() as node:
        listener = Listener(node.bus, NEWS)
        await listener.subscribe()
        tries = 0

        async def work() -> None:
            nonlocal tries
            tries += 1
            await publish(node, NEWS, b"once")
            if tries < 3:
                raise Contended

        await node.unit_of_work.run(work)
        await listener.hears(1)
        await publish(node, NEWS, b"later")

        assert tries == 3
        assert await listener.hears(2) == [b"once", b"later"]


async def test_work_that_commits_first_is_told_first_whoever_published_first(site: Site) -> None:
    async with site.node() as node, site.node() as other:
        listener = Listener(node.bus, NEWS)
        await listener.subscribe()
        published, release = asyncio.Event(), asyncio.Event()

        async def slow() -> None:
            await publish(node, NEWS, b"slow")
            published.set()
            await release.wait()

        first = asyncio.create_task(node.unit_of_work.run(slow))
        await published.wait()
        second = asyncio.create_task(other.unit_of_work.run(telling(other, b"quick")))
        await asyncio.wait({second}, timeout=0.5)  # It commits now, or waits for the first.
        in_order = [b"quick", b"slow"] if second.done() else [b"slow", b"quick"]
        release.set()
        await asyncio.gather(first, second)

        assert await listener.hears(2) == in_order


async def test_units_of_work_are_told_in_the_order_of_their_commits(site: Site) -> None:
    async with site.node() as node, site.node() as other:
        listener = Listener(other.bus, NEWS)
        await listener.subscribe()
        committed: list[bytes] = []

        async def unit(data: bytes) -> None:
            await (node, other)[len(data) % 2].unit_of_work.run(telling(node, data, b"|" + data))
            committed.append(data)

        for number in range(1, 21):
            await unit(b"x" * number)

        expected = [part for data in committed for part in (data, b"|" + data)]
        assert await listener.hears(40) == expected


def telling(node: Node, *events: bytes) -> Callable[[], Awaitable[None]]:
    return lambda: publish(node, NEWS, *events)


async def publish(node: Node, topic: TopicName, *events: bytes) -> None:
    for data in events:
        await node.bus.publish(topic, data)

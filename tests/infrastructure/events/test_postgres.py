import asyncio

import pytest

from platform_domain.event_bus import Position
from platform_domain.events import TopicName
from platform_infrastructure.events.engine import RETAINED_EVENTS
from platform_infrastructure.events.postgres import PostgresEventBus
from platform_infrastructure.postgres.database import Database
from tests.infrastructure.events.nodes import Listener, Node, PostgresSite, running
from tests.infrastructure.postgres.connections import ask, opened, settings_for

pytestmark = pytest.mark.anyio

NEWS, OTHER = TopicName("news"), TopicName("other")
KEPT = "SELECT topic, min(number), max(number) FROM event_log GROUP BY topic ORDER BY topic"
NUMBERED = """
    WITH head AS (INSERT INTO event_heads (topic, number) VALUES (%s, %s) RETURNING topic, number)
    INSERT INTO event_log (topic, number, data)
    SELECT topic, generate_series(1, number), '' FROM head
"""


@pytest.fixture
def site(database_url: str) -> PostgresSite:
    return PostgresSite(database_url)


async def test_events_beyond_what_can_be_replayed_are_trimmed(
    site: PostgresSite, database_url: str
) -> None:
    many = 3 * RETAINED_EVENTS
    async with site.node() as node:
        await node.bus.publish(OTHER, b"1")
        ask(database_url, NUMBERED, NEWS, many)

        await trim(node)

        assert ask(database_url, KEPT) == [
            ("news", many - RETAINED_EVENTS + 1, many),
            ("other", 1, 1),
        ]


async def test_events_of_yesterday_are_trimmed_and_the_place_stays(
    site: PostgresSite, database_url: str
) -> None:
    async with site.node() as node:
        await node.bus.publish(NEWS, b"1")
        ask(database_url, "UPDATE event_log SET at = now() - interval '25 hours'")
        await node.bus.publish(NEWS, b"2")
        (head,) = await node.bus.heads([NEWS])

        await trim(node)

        assert await node.bus.heads([NEWS]) == [head]
        assert (await node.bus.replay(NEWS, Position(head.epoch, 1))).complete
        assert not (await node.bus.replay(NEWS, Position(head.epoch, 0))).complete


async def test_a_topic_that_was_silent_for_a_month_begins_a_new_epoch(
    site: PostgresSite, database_url: str
) -> None:
    async with site.node() as node:
        listener = Listener(node.bus, NEWS)
        start = await listener.subscribe()
        await node.bus.publish(NEWS, b"1")
        await listener.hears(1)
        ask(database_url, "UPDATE event_heads SET used_at = now() - interval '31 days'")

        await trim(node)
        await node.bus.publish(NEWS, b"2")

        assert await listener.hears(2) == [b"1", b"2"]
        assert listener.offsets == [1, 1]
        assert not (await node.bus.replay(NEWS, start)).complete
        assert not (await node.bus.replay(NEWS, listener.heard[0].position)).complete


async def test_several_nodes_may_trim_at_a_time(site: PostgresSite, database_url: str) -> None:
    async with site.node() as here, site.node() as there:
        ask(database_url, NUMBERED, NEWS, 12_000)

        await asyncio.gather(*(trim(node) for node in (here, there, here)))
        await trim(here)

        assert ask(database_url, KEPT) == [("news", 11_001, 12_000)]


async def test_a_flood_between_two_reads_is_delivered_whole(
    site: PostgresSite, database_url: str
) -> None:
    """More than one read brings, committed at once and announced by a single notification."""
    async with site.node() as node:
        listener = Listener(node.bus, NEWS)
        await listener.subscribe()
        await node.bus.publish(NEWS, b"1")
        await listener.hears(1)

        ask(
            database_url,
            "WITH head AS (UPDATE event_heads SET number = 2500 RETURNING topic, epoch, number),"
            " logged AS (INSERT INTO event_log (topic, number, data)"
            " SELECT topic, generate_series(2, number), '' FROM head)"
            " SELECT pg_notify('platform_events', concat_ws(' ', number, epoch, topic)) FROM head",
        )

        await listener.hears(2500)
        assert listener.offsets == list(range(1, 2501))


async def test_a_topic_whose_head_an_admin_deleted_goes_on_in_another_epoch(
    site: PostgresSite, database_url: str
) -> None:
    async with site.node() as node:
        listener = Listener(node.bus, NEWS)
        before = await listener.subscribe()
        await node.bus.publish(NEWS, b"1")
        await listener.hears(1)

        ask(database_url, "DELETE FROM event_heads RETURNING topic")
        await node.bus.publish(NEWS, b"2")

        assert await listener.hears(2) == [b"1", b"2"]
        assert not (await node.bus.replay(NEWS, before)).complete


async def test_what_came_while_nobody_listened_is_delivered_without_another_event(
    database_url: str,
) -> None:
    async with opened(database_url) as connections:
        bus = PostgresEventBus(settings_for(database_url), Database(connections))
        listener = Listener(bus, NEWS)
        await listener.subscribe()
        await bus.publish(NEWS, b"1")
        assert listener.data == []

        async with running(bus, bus.run):
            assert await listener.hears(1) == [b"1"]


async def test_an_exhausted_pool_keeps_no_event_from_those_who_listen(database_url: str) -> None:
    async with opened(database_url, pool_min_size=1, pool_max_size=1) as connections:
        bus = PostgresEventBus(settings_for(database_url), Database(connections))
        async with PostgresSite(database_url).node() as other, running(bus, bus.run):
            listener = Listener(bus, NEWS)
            await listener.subscribe()

            async with connections.lend("somebody"):
                await other.bus.publish(NEWS, b"1")
                assert await listener.hears(1) == [b"1"]


async def trim(node: Node) -> None:
    await node.bus.trim(asyncio.Event())  # type: ignore[attr-defined]

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest

from platform_domain.events import TopicName
from platform_infrastructure.events.engine import RETAINED_SECONDS
from platform_infrastructure.events.valkey.bus import ValkeyEventBus
from platform_infrastructure.events.valkey.client import ValkeyClient
from platform_infrastructure.events.valkey.log import SEEN_SECONDS, ValkeyLog
from platform_infrastructure.events.valkey.outbox import OutboxTable, Relay
from platform_infrastructure.postgres.database import Database
from tests.infrastructure.events.nodes import Listener, ValkeySite, eventually, running
from tests.infrastructure.events.valkeys import TestValkey
from tests.infrastructure.postgres.connections import ask, opened

pytestmark = pytest.mark.anyio

NEWS, OTHER = TopicName("news"), TopicName("other")
CHANNEL = "platform:0:events:news"


@pytest.fixture
def site(database_url: str, valkey: TestValkey) -> ValkeySite:
    return ValkeySite(database_url, valkey.url)


async def test_the_server_is_asked_only_for_topics_that_somebody_hears(
    site: ValkeySite, valkey: TestValkey
) -> None:
    def nodes_that_hear() -> int:
        return int(valkey.ask("PUBSUB", "NUMSUB", CHANNEL)[1])

    async with site.node() as here, site.node() as there:
        listeners = [Listener(node.bus, NEWS) for node in (here, here, there)]
        assert nodes_that_hear() == 0

        for listener in listeners:
            await listener.subscribe()
        assert nodes_that_hear() == 2
        await listeners[0].unsubscribe()
        assert nodes_that_hear() == 2
        await listeners[1].unsubscribe()
        await eventually(lambda: nodes_that_hear() == 1)


@pytest.mark.parametrize("steps", range(8))
async def test_who_gave_up_subscribing_leaves_nothing_behind(
    steps: int, site: ValkeySite, valkey: TestValkey
) -> None:
    async with site.node() as node:
        await Listener(node.bus, OTHER).subscribe()
        gives_up = Listener(node.bus, NEWS)
        subscribing = asyncio.create_task(gives_up.subscribe())
        for _ in range(steps):  # Each leaves it in another stage of the conversation.
            await asyncio.sleep(0)
        if subscribing.cancel():
            with pytest.raises(asyncio.CancelledError):
                await subscribing
        else:  # The server was quicker.
            await gives_up.unsubscribe()

        listener = Listener(node.bus, NEWS)
        await listener.subscribe()
        await node.bus.publish(NEWS, b"1")
        assert await listener.hears(1) == [b"1"]
        await listener.unsubscribe()
        await eventually(lambda: valkey.ask("PUBSUB", "NUMSUB", CHANNEL)[1] == 0)


async def test_databases_of_one_server_do_not_hear_each_other(
    database_url: str, valkey: TestValkey
) -> None:
    first = ValkeySite(database_url, valkey.url)
    second = ValkeySite(database_url, valkey.url.removesuffix("/0") + "/1")
    async with first.node() as node, second.node() as stranger:
        own, strange = Listener(node.bus, NEWS), Listener(stranger.bus, NEWS)
        await own.subscribe()
        await strange.subscribe()

        await stranger.bus.publish(NEWS, b"strange")
        await strange.hears(1)
        await node.bus.publish(NEWS, b"own")

        assert await own.hears(1) == [b"own"]


async def test_what_nobody_uses_is_forgotten_and_the_head_not_before_the_log(
    site: ValkeySite, valkey: TestValkey
) -> None:
    async with site.node() as node:
        await node.bus.publish(NEWS, b"1")

        head, log = (valkey.ask("TTL", f"platform:0:{{news}}:{key}") for key in ("head", "log"))

        assert 0 < log <= head <= 24 * 60 * 60


async def test_a_head_that_was_forgotten_takes_its_log_along(
    site: ValkeySite, valkey: TestValkey
) -> None:
    async with site.node() as node:
        await node.bus.publish(NEWS, b"1")
        (known,) = await node.bus.heads([NEWS])
        valkey.ask("DEL", "platform:0:{news}:head")

        await node.bus.publish(NEWS, b"2")

        (head,) = await node.bus.heads([NEWS])
        assert head.offset == 1
        assert head.epoch != known.epoch
        assert valkey.ask("XLEN", "platform:0:{news}:log") == 1


async def test_work_is_told_although_valkey_was_away_at_the_commit(
    database_url: str, valkey: TestValkey
) -> None:
    nowhere = ValkeySite(database_url, "valkey://127.0.0.1:1/0")
    async with nowhere.node() as cut_off:
        await cut_off.unit_of_work.run(lambda: cut_off.bus.publish(NEWS, b"late"))
    assert ask(database_url, "SELECT topic, data FROM event_outbox") == [("news", b"late")]

    async with ValkeySite(database_url, valkey.url).node() as node:
        await eventually(lambda: ask(database_url, "SELECT 1 FROM event_outbox") == [])

        (head,) = await node.bus.heads([NEWS])
        assert head.offset == 1


async def test_an_event_that_was_brought_before_a_crash_is_not_brought_again(
    database_url: str, valkey: TestValkey
) -> None:
    async with outbox_and_log(database_url, valkey) as (outbox, log):
        for data in (b"1", b"2"):
            await outbox.add(NEWS, data)
        brought = (await outbox.first())[0]
        (start,) = await log.heads([NEWS])
        await log.append(NEWS, brought.data, id=brought.id)

        await relayed(Relay(outbox, log))

        replay = await log.replay(NEWS, start)
        assert [event.data for event in replay.events] == [b"1", b"2"]
        assert await outbox.first() == []


async def test_the_ids_of_events_do_not_fill_the_server(valkey: TestValkey) -> None:
    client = ValkeyClient(valkey.url)
    await ValkeyLog(client).append(NEWS, b"1", id=uuid4())
    await client.close()

    (seen,) = valkey.ask("KEYS", "*seen*")
    assert 0 < valkey.ask("TTL", seen) <= SEEN_SECONDS < RETAINED_SECONDS


async def test_nodes_that_relay_at_a_time_bring_each_event_once_and_in_order(
    database_url: str, valkey: TestValkey
) -> None:
    sent = [b"%d" % number for number in range(250)]
    async with outbox_and_log(database_url, valkey) as (outbox, log):
        for data in sent:
            await outbox.add(NEWS, data)
        (start,) = await log.heads([NEWS])

        await asyncio.gather(*(relayed(Relay(outbox, log)) for _ in range(3)))

        replay = await log.replay(NEWS, start)
        assert [event.data for event in replay.events] == sent


async def test_the_last_events_are_relayed_at_the_stop(
    database_url: str, valkey: TestValkey
) -> None:
    async with opened(database_url) as connections:
        bus = ValkeyEventBus(valkey.url, Database(connections))
        async with running(bus, bus.relay):
            await OutboxTable(Database(connections)).add(NEWS, b"nobody was told that this waits")

        assert ask(database_url, "SELECT 1 FROM event_outbox") == []


async def relayed(relay: Relay) -> None:
    stopping = asyncio.Event()
    stopping.set()
    await relay.run(stopping)


@asynccontextmanager
async def outbox_and_log(
    database_url: str, valkey: TestValkey
) -> AsyncIterator[tuple[OutboxTable, ValkeyLog]]:
    client = ValkeyClient(valkey.url)
    async with opened(database_url) as connections:
        try:
            yield OutboxTable(Database(connections)), ValkeyLog(client)
        finally:
            await client.close()

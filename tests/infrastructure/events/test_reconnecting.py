"""What happens when the connection is lost, the server is killed, or nobody answers."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from platform_domain.errors import Unavailable
from platform_domain.event_bus import Position
from platform_domain.events import TopicName
from platform_domain.health import Status
from platform_infrastructure.postgres.embedded import EmbeddedPostgres
from platform_infrastructure.postgres.migrations import migrate
from tests.infrastructure.events.nodes import (
    Listener,
    Node,
    PostgresSite,
    Site,
    ValkeySite,
    eventually,
)
from tests.infrastructure.events.valkeys import TestValkey, started_valkey
from tests.infrastructure.postgres.connections import ask

pytestmark = pytest.mark.anyio

NEWS = TopicName("news")
LISTENING = """
    SELECT pid FROM pg_stat_activity WHERE datname = current_database()
    AND pid <> pg_backend_pid() AND query ~ '^LISTEN|AS known'
"""
Cut = Callable[[], object]


@pytest.fixture
def other_valkey() -> Iterator[TestValkey]:
    """A server that may be killed."""
    with started_valkey() as valkey:
        yield valkey


@pytest.fixture
def other_postgres(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """A server that may be killed, and keeps what was committed."""
    with EmbeddedPostgres(tmp_path / "postgres") as postgres:
        yield postgres


@pytest.fixture(params=["postgres", "valkey"])
def place(request: pytest.FixtureRequest, database_url: str) -> tuple[Site, Cut]:
    """Where nodes meet, and what cuts the connections that they hear events by."""
    if request.param == "postgres":
        terminated = f"SELECT count(pg_terminate_backend(pid)) FROM ({LISTENING}) AS listening"
        return PostgresSite(database_url), lambda: ask(database_url, terminated)
    valkey: TestValkey = request.getfixturevalue("valkey")
    site = ValkeySite(database_url, valkey.url)
    return site, lambda: valkey.ask("CLIENT", "KILL", "TYPE", "pubsub")


async def test_a_lost_connection_is_told_and_what_was_missed_can_be_replayed(
    place: tuple[Site, Cut],
) -> None:
    site, cut = place
    sent = [b"%d" % number for number in range(30)]
    async with site.node() as node, site.node() as other:
        listener = Listener(node.bus, NEWS)
        start = await listener.subscribe()
        await other.bus.publish(NEWS, b"first")
        await listener.hears(1)

        await asyncio.to_thread(cut)
        for data in sent:
            await other.bus.publish(NEWS, data)
        await listener.until(lambda: listener.interruptions > 0)
        replay = await node.bus.replay(NEWS, start)
        await other.bus.publish(NEWS, b"last")
        await listener.until(lambda: listener.data[-1] == b"last")

        assert replay.complete
        assert [event.data for event in replay.events] == [b"first", *sent]
        assert listener.heard[-1].position == Position(start.epoch, len(sent) + 2)
        assert sorted(set(listener.offsets)) == listener.offsets, "in order, none twice"


async def test_the_node_is_degraded_only_while_it_hears_nothing(place: tuple[Site, Cut]) -> None:
    site, cut = place
    async with site.node() as node:
        (link,) = node.bus.checks
        listener = Listener(node.bus, NEWS)
        await listener.subscribe()
        await eventually(lambda: link.health().status is Status.UP)
        well_since = link.health().since

        await asyncio.to_thread(cut)
        await eventually(lambda: link.health().since > well_since)
        await listener.until(lambda: listener.interruptions > 0)

        assert link.health().status is Status.UP
    assert link.name == "events"


async def test_after_postgres_was_killed_and_is_back_events_go_on_with_none_lost(
    other_postgres: EmbeddedPostgres,
) -> None:
    await migrate(other_postgres.url)
    async with PostgresSite(other_postgres.url).node() as node:
        listener = Listener(node.bus, NEWS)
        start = await listener.subscribe()
        await node.bus.publish(NEWS, b"1")
        await listener.hears(1)

        os.kill(other_postgres.pid, signal.SIGKILL)
        await asyncio.to_thread(other_postgres.stop)
        for answer in (node.bus.publish(NEWS, b"-"), node.bus.replay(NEWS, start)):
            with pytest.raises(Unavailable):
                await answer
        await asyncio.to_thread(other_postgres.start)
        await told(node, b"2")
        await listener.until(lambda: listener.interruptions > 0)
        await listener.hears(2)

        assert [delivery.position.epoch for delivery in listener.heard] == [start.epoch] * 2
        assert listener.offsets == [1, 2]
        replay = await node.bus.replay(NEWS, start)
        assert [event.data for event in replay.events] == [b"1", b"2"]


async def test_after_valkey_lost_its_memory_nothing_is_replayed_as_if_it_were_complete(
    database_url: str, other_valkey: TestValkey
) -> None:
    async with ValkeySite(database_url, other_valkey.url).node() as node:
        listener = Listener(node.bus, NEWS)
        start = await listener.subscribe()
        await node.bus.publish(NEWS, b"1")
        await listener.hears(1)

        other_valkey.kill()
        other_valkey.start()
        await listener.until(lambda: listener.interruptions > 0)
        await told(node, b"2")
        await listener.hears(2)

        epochs = [delivery.position.epoch for delivery in listener.heard]
        assert epochs[0] == start.epoch != epochs[1]
        assert listener.offsets == [1, 1]
        assert not (await node.bus.replay(NEWS, start)).complete
        assert not (await node.bus.replay(NEWS, listener.heard[0].position)).complete


async def test_a_valkey_that_went_back_in_time_begins_a_new_epoch(
    database_url: str, other_valkey: TestValkey
) -> None:
    """Else the numbers it forgot would be given again, to other events."""
    async with ValkeySite(database_url, other_valkey.url).node() as node:
        await node.bus.publish(NEWS, b"saved")
        other_valkey.ask("SAVE")
        await node.bus.publish(NEWS, b"forgotten")
        (known,) = await node.bus.heads([NEWS])

        other_valkey.kill()
        other_valkey.start()
        await told(node, b"another")
        await told(node, b"and one more")

        (head,) = await node.bus.heads([NEWS])
        assert (known.offset, head.offset) == (2, 2)
        assert head.epoch != known.epoch
        assert not (await node.bus.replay(NEWS, known)).complete


async def test_without_a_valkey_everything_is_unavailable_at_once(
    database_url: str, other_valkey: TestValkey
) -> None:
    async with ValkeySite(database_url, other_valkey.url).node() as node:
        listener = Listener(node.bus, NEWS)
        start = await listener.subscribe()
        other_valkey.kill()

        await unavailable(node, start)

        with pytest.raises(Unavailable):
            await Listener(node.bus, TopicName("another")).subscribe()


@pytest.mark.skipif(sys.platform == "win32", reason="Sends POSIX signals.")
async def test_a_valkey_that_does_not_answer_holds_nobody_up_for_long(
    database_url: str, other_valkey: TestValkey
) -> None:
    async with ValkeySite(database_url, other_valkey.url).node() as node:
        (start,) = await node.bus.heads([NEWS])
        os.kill(other_valkey.pid, signal.SIGSTOP)
        try:
            async with asyncio.timeout(5):
                await unavailable(node, start)
        finally:
            os.kill(other_valkey.pid, signal.SIGCONT)

        await told(node, b"again")


@pytest.mark.skipif(sys.platform == "win32", reason="Sends POSIX signals.")
async def test_a_subscription_that_was_never_confirmed_does_not_confuse_the_next(
    database_url: str, other_valkey: TestValkey
) -> None:
    async with ValkeySite(database_url, other_valkey.url).node() as node:
        listener, other = Listener(node.bus, NEWS), Listener(node.bus, TopicName("another"))
        await other.subscribe()
        os.kill(other_valkey.pid, signal.SIGSTOP)
        with pytest.raises(Unavailable):
            await listener.subscribe()
        other_valkey.kill()
        other_valkey.start()
        await other.until(lambda: other.interruptions > 0)

        await listener.subscribe()
        await told(node, b"1")

        assert await listener.hears(1) == [b"1"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Sends POSIX signals.")
@pytest.mark.parametrize("engine", ["postgres", "valkey"])
async def test_a_server_that_falls_silent_is_noticed(
    engine: str, database_url: str, other_valkey: TestValkey
) -> None:
    site = {
        "postgres": PostgresSite(database_url),
        "valkey": ValkeySite(database_url, other_valkey.url),
    }[engine]
    async with site.node() as node:
        listener = Listener(node.bus, NEWS)
        await listener.subscribe()
        (link,) = node.bus.checks
        await eventually(lambda: link.health().status is Status.UP)
        well_since = link.health().since
        silent = other_valkey.pid if engine == "valkey" else ask(database_url, LISTENING)[0][0]

        os.kill(silent, signal.SIGSTOP)
        try:
            await eventually(lambda: link.health().since > well_since, seconds=15)
        finally:
            os.kill(silent, signal.SIGCONT)
        await listener.until(lambda: listener.interruptions > 0)

        await told(node, b"again")
        assert await listener.hears(1) == [b"again"]


async def unavailable(node: Node, start: Position) -> None:
    answers = (
        node.bus.publish(NEWS, b"-"),
        node.bus.replay(NEWS, start),
        node.bus.heads([NEWS]),
    )
    results = await asyncio.gather(*answers, return_exceptions=True)
    assert [type(result) for result in results] == [Unavailable] * len(answers)


async def told(node: Node, data: bytes) -> None:
    """Publish as soon as that is possible again."""
    async with asyncio.timeout(10):
        while True:
            try:
                return await node.bus.publish(NEWS, data)
            except Unavailable:
                await asyncio.sleep(0.05)

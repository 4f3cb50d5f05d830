"""A process that dies between its commit and what follows from it."""

import asyncio
import json
import signal
import subprocess
import sys
from uuid import uuid4

import pytest

from platform_domain.events import TopicName
from tests.infrastructure.events.nodes import Listener, PostgresSite, ValkeySite, eventually
from tests.infrastructure.events.valkeys import TestValkey
from tests.infrastructure.postgres.connections import ask

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform == "win32", reason="Sends POSIX signals."),
]

NEWS = TopicName("news")
WAITING = "SELECT count(*) FROM event_outbox"


async def test_with_postgres_an_event_is_told_once_although_its_publisher_died(
    database_url: str,
) -> None:
    async with PostgresSite(database_url).node() as node:
        listener = Listener(node.bus, NEWS)
        await listener.subscribe()

        await commit_and_die(database_url)
        await listener.hears(1)
        await node.bus.publish(NEWS, b"later")

        assert await listener.hears(2) == [b"told by the dead", b"later"]


async def test_with_valkey_an_event_is_told_once_by_whoever_comes_after(
    database_url: str, valkey: TestValkey
) -> None:
    await commit_and_die(database_url, valkey.url)
    assert ask(database_url, WAITING) == [(1,)]

    site = ValkeySite(database_url, valkey.url)
    async with site.node() as node, site.node() as other:
        await eventually(lambda: ask(database_url, WAITING) == [(0,)])
        (head,) = await node.bus.heads([NEWS])
        listener = Listener(node.bus, NEWS)
        await listener.subscribe()
        await other.bus.publish(NEWS, b"later")
        await listener.hears(1)

        assert head.offset == 1
        assert (listener.data, listener.offsets) == ([b"later"], [2])


async def test_with_valkey_an_event_is_not_told_again_although_nobody_took_note_of_it(
    database_url: str, valkey: TestValkey
) -> None:
    await commit_and_die(database_url, valkey.url, relaying=True)
    assert ask(database_url, WAITING) == [(1,)]

    async with ValkeySite(database_url, valkey.url).node() as node:
        (brought,) = await node.bus.heads([NEWS])
        await eventually(lambda: ask(database_url, WAITING) == [(0,)])

        assert brought.offset == 1
        assert await node.bus.heads([NEWS]) == [brought]


async def commit_and_die(
    database_url: str, valkey_url: str | None = None, *, relaying: bool = False
) -> None:
    """Run a process that publishes within a unit of work, commits, and is killed right then, or
    with `relaying` after it has brought the event to Valkey."""
    order = {
        "database_url": database_url,
        "valkey_url": valkey_url,
        "project": str(uuid4()),
        "relaying": relaying,
    }
    child = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "tests.infrastructure.events.dying", json.dumps(order)],
        timeout=30,
        check=False,
    )
    assert child.returncode == -signal.SIGKILL
    assert ask(database_url, "SELECT count(*) FROM projects") == [(1,)]

"""Who is present, over real sockets and on several real processes."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection

from platform_domain.presence import LEASE_SECONDS
from platform_infrastructure.postgres.embedded import EmbeddedPostgres
from tests import processes
from tests.e2e.realtime.test_sockets import connected, listening, said, say
from tests.infrastructure.events.valkeys import TestValkey, free_port, started_valkey
from tests.infrastructure.postgres.connections import ask
from tests.processes import Program

pytestmark = pytest.mark.anyio

ROOM = "room:1"
PROMISED_SECONDS = 20.0


class Page:
    """A socket in a room, and who is there as it was told."""

    def __init__(self, ws: ClientConnection) -> None:
        self.ws = ws
        self.users: set[str] = set()
        self.gone: set[str] = set()

    async def sees(self, *users: str) -> None:
        async with asyncio.timeout(PROMISED_SECONDS):
            while self.users != set(users):
                self._take(await said(self.ws, PROMISED_SECONDS))

    async def heard_all(self) -> None:
        """Take what was on its way."""
        await self.ws.send('{"type":"ping"}')
        while (message := await said(self.ws))["type"] != "pong":
            self._take(message)

    def _take(self, message: dict[str, object]) -> None:
        match message:
            case {"type": "presence", "topic": "room:1", "users": list(users)}:
                self.users = set(users)
            case {"type": "presence_changed", "joined": list(joined), "left": list(left)}:
                assert self.users >= set(left)
                self.users = (self.users | set(joined)) - set(left)
                self.gone |= set(left)
            case {"type": "reset", "topic": "room:1"}:  # Valkey has forgotten.
                pass
            case _:
                raise AssertionError(message)


@asynccontextmanager
async def present(program: Program, user: str) -> AsyncIterator[Page]:
    async with connected(program, user) as ws:
        assert (await say(ws, type="subscribe", topic=ROOM))["type"] == "subscribed"
        yield Page(ws)


@pytest.fixture(scope="module")
def shared() -> Iterator[Program]:
    with listening() as program:
        yield program


async def test_pages_are_told_who_is_there_and_who_comes_and_goes(shared: Program) -> None:
    async with present(shared, "alice") as alice:
        await alice.sees("alice")
        async with present(shared, "bob") as bob, present(shared, "bob") as again:
            await bob.sees("alice", "bob")
            await again.sees("alice", "bob")
            await alice.sees("alice", "bob")
            assert (await say(bob.ws, type="unsubscribe", topic=ROOM))["type"] == "unsubscribed"
            async with present(shared, "carol"):
                await alice.sees("alice", "bob", "carol")
            await alice.sees("alice", "bob")
        await alice.sees("alice")

    assert alice.gone == {"bob", "carol"}


async def test_who_may_not_listen_is_not_present(shared: Program) -> None:
    async with connected(shared, "alice") as alice, connected(shared, "bob") as bob:
        refused = await say(bob, type="subscribe", topic="room:closed")
        own = await say(alice, type="subscribe", topic="user:alice")
        await say(alice, type="subscribe", topic="room:2")
        first = await said(alice)

    assert refused["code"] == "topic_forbidden"
    assert own["type"] == "subscribed"  # A topic without presence, of which nothing is told.
    assert first == {"type": "presence", "topic": "room:2", "users": ["alice"], "count": 1}


@contextmanager
def node(database_url: str, valkey: TestValkey | None) -> Iterator[Program]:
    valkey_url = valkey and valkey.url
    with processes.started(
        "tests.e2e.realtime.node", database_url=database_url, valkey_url=valkey_url
    ) as program:
        program.wait_until_listening()
        yield program


@contextmanager
def three_nodes(
    database_url: str, valkey: TestValkey | None
) -> Iterator[tuple[Program, Program, Program]]:
    with (
        node(database_url, valkey) as one,
        node(database_url, valkey) as two,
        node(database_url, valkey) as three,
    ):
        yield one, two, three


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Not supported there.")
@pytest.mark.parametrize("engine", ["postgres", "valkey"])
async def test_the_users_of_a_node_that_stops_or_dies_are_gone_and_those_of_others_stay(
    engine: str, database_url: str
) -> None:
    with (
        started_valkey() if engine == "valkey" else nullcontext() as valkey,
        three_nodes(database_url, valkey) as (lives, stops, dies),
    ):
        async with present(lives, "alice") as alice, present(dies, "bob") as bob:
            async with present(stops, "carol"):
                await alice.sees("alice", "bob", "carol")
                await bob.sees("alice", "bob", "carol")
                began = time.monotonic()
                stops.signal(signal.SIGTERM)
                await alice.sees("alice", "bob")
                stopped = time.monotonic() - began

            before = told(database_url, valkey)
            forget(database_url, valkey)
            await until_told(before, database_url, valkey)
            await alice.heard_all()
            assert alice.gone == {"carol"} or valkey is None
            await alice.sees("alice", "bob")

            began = time.monotonic()
            os.kill(dies.pid, signal.SIGKILL)
            await alice.sees("alice")
            died = time.monotonic() - began

    assert stopped < LEASE_SECONDS / 2
    assert died < PROMISED_SECONDS
    assert "Traceback" not in lives.output


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Not supported there.")
async def test_nobody_is_gone_because_postgres_was_away_for_longer_than_a_lease(
    tmp_path: Path,
) -> None:
    # Connections of strangers must not be given its port while it is down.
    with EmbeddedPostgres(tmp_path / "postgres", port=free_port()) as postgres:
        url = postgres.url
        with node(url, None) as one, node(url, None) as other:
            async with present(one, "alice") as alice, present(other, "bob") as bob:
                await alice.sees("alice", "bob")
                await bob.sees("alice", "bob")
                await asyncio.to_thread(postgres.stop)
                await asyncio.sleep(LEASE_SECONDS + 1)
                await asyncio.to_thread(postgres.start)
                async with present(one, "carol"):
                    await bob.sees("alice", "bob", "carol")
                    await alice.sees("alice", "bob", "carol")
                assert alice.gone <= {"carol"}
                assert not bob.gone


def told(database_url: str, valkey: TestValkey | None) -> int:
    """Return how many users living nodes have said to be in the room."""
    if valkey is not None:
        return int(valkey.ask("SCARD", f"platform:0:{{presence}}:topic:{ROOM}"))
    ((rows,),) = ask(database_url, "SELECT count(*) FROM presence")
    return int(rows)


def forget(database_url: str, valkey: TestValkey | None) -> None:
    if valkey is not None:
        valkey.kill()
        valkey.start()
    else:
        ask(database_url, "TRUNCATE presence_leases CASCADE")


async def until_told(count: int, database_url: str, valkey: TestValkey | None) -> None:
    async with asyncio.timeout(PROMISED_SECONDS):
        while told(database_url, valkey) != count:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.05)

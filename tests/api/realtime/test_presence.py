"""Who is present, as the pages that listen see it: nodes over one store, pages over nodes."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.types import Message

from platform_api.realtime import presence as module
from platform_api.realtime.close_codes import CloseCode
from platform_api.realtime.presence import NOTICES, Rooms
from platform_api.realtime.session import Incoming, Session
from platform_api.realtime.sockets import Sockets
from platform_domain.errors import Unavailable
from platform_domain.events import TopicName
from platform_domain.identity import UserId
from platform_domain.presence import Attendance, Member, Presence
from platform_infrastructure.events.memory import MemoryEventBus
from tests.api.realtime.peers import Peer, joined

pytestmark = pytest.mark.anyio

ROOM = TopicName("room:1")
PATIENCE_SECONDS = 10.0
NEVER_SECONDS = 1000.0
OFTEN_SECONDS = 0.02
Told = set[tuple[TopicName, UserId]]


class Store:
    """What nodes have said. It may fail, and it may forget."""

    def __init__(self) -> None:
        self.told: defaultdict[StoredPresence, Told] = defaultdict(set)
        self.fails = False
        self.failures = 0
        self.during: Callable[[str], None] = lambda call: None
        """Told of each call before it is answered; it may raise."""


class StoredPresence(Presence):
    def __init__(self, store: Store) -> None:
        self._store = store

    async def join(self, members: Collection[Member]) -> None:
        await self._answer("join")
        self._store.told[self] |= {(member.topic, member.user) for member in members}

    async def leave(self, members: Collection[Member]) -> None:
        await self._answer("leave")
        self._store.told[self] -= {(member.topic, member.user) for member in members}

    async def snapshot(self, topics: Collection[TopicName]) -> Mapping[TopicName, Attendance]:
        await self._answer("snapshot")
        return {
            topic: Attendance(
                self._of(topic, lambda node: node is self),
                self._of(topic, lambda node: node is not self),
            )
            for topic in topics
        }

    async def renew(self) -> None:
        await self._answer("renew")

    async def end(self) -> None:
        await self._answer("end")
        self._store.told.pop(self, None)

    def _of(
        self, topic: TopicName, counts: Callable[["StoredPresence"], bool]
    ) -> frozenset[UserId]:
        return frozenset(
            user
            for node, told in self._store.told.items()
            if counts(node)
            for where, user in told
            if where == topic
        )

    async def _answer(self, call: str) -> None:
        await asyncio.sleep(0)
        self._store.during(call)
        if self._store.fails:
            self._store.failures += 1
            raise Unavailable


class DeafBus(MemoryEventBus):
    """Delivers to nobody."""

    async def publish(self, topic: TopicName, data: bytes) -> None: ...


class Page(Peer):
    """Keeps the list as the SPA does, and does not accept a change that cannot be."""

    def __init__(self) -> None:
        super().__init__()
        self.users: set[str] | None = None
        self.gone: set[str] = set()
        self._news = asyncio.Event()

    async def send(self, message: Message) -> None:
        before = len(self.heard)
        await super().send(message)
        for heard in self.heard[before:]:
            self._take(heard)
        self._news.set()

    def _take(self, heard: dict[str, Any]) -> None:
        if heard["type"] == "presence":
            self.users = set(heard["users"])
        else:
            assert heard["type"] == "presence_changed"
            assert self.users is not None
            assert not self.users & set(heard["joined"])
            assert self.users >= set(heard["left"])
            self.users = (self.users | set(heard["joined"])) - set(heard["left"])
            self.gone |= set(heard["left"])
        if heard["count"] <= module.MAX_NAMED:
            assert heard["count"] == len(self.users)

    async def sees(self, *users: str) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.users != set(users):
                self._news.clear()
                await self._news.wait()


class Node:
    """One process: its sockets, and the task that looks after who is present."""

    def __init__(self, store: Store, bus: MemoryEventBus) -> None:
        self.presence = StoredPresence(store)
        self.sockets = Sockets()
        self.rooms = Rooms(self.presence, bus, self.sockets)
        self._pages: dict[Page, tuple[Session, asyncio.Task[None]]] = {}
        self._stopping = asyncio.Event()
        self._running = asyncio.create_task(self.rooms.run(self._stopping))

    def open(self, user: str, topic: TopicName = ROOM) -> Page:
        page = Page()
        session = joined(self.sockets, page, user)
        self._pages[page] = session, asyncio.create_task(session.run(ignore, lambda *_: None))
        self.sockets.enter(session, topic)
        self.rooms.enter(session, topic)
        return page

    async def close(self, page: Page) -> None:
        session, serving = self._pages.pop(page)
        self.rooms.leave(session.topics)
        self.sockets.leave(session)
        session.close(CloseCode.NORMAL)
        await serving

    async def die(self) -> None:
        self._running.cancel()
        await asyncio.wait([self._running])

    async def stop(self) -> None:
        for page in list(self._pages):
            await self.close(page)
        self._stopping.set()
        await asyncio.wait([self._running])
        if not self._running.cancelled():
            self._running.result()


async def ignore(session: Session, incoming: Incoming) -> None: ...


class Site:
    def __init__(self, bus: MemoryEventBus) -> None:
        self.store = Store()
        self.bus = bus
        self.nodes: list[Node] = []

    def node(self) -> Node:
        self.nodes.append(Node(self.store, self.bus))
        return self.nodes[-1]


@asynccontextmanager
async def opened(bus: MemoryEventBus | None = None) -> AsyncIterator[Site]:
    site = Site(bus or MemoryEventBus())
    yield site
    async with asyncio.timeout(PATIENCE_SECONDS):
        for node in site.nodes:
            await node.stop()


@pytest.fixture(autouse=True)
def short_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WINDOW_SECONDS", 0.01)


@pytest.fixture
def without_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing but notices tell of others, apart from the first look."""
    monkeypatch.setattr(module, "BEAT_SECONDS", NEVER_SECONDS)


@pytest.fixture
def with_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEAT_SECONDS", OFTEN_SECONDS)


@pytest.mark.usefixtures("without_beats")
async def test_who_comes_is_told_who_is_there_and_the_others_that_they_came() -> None:
    async with opened() as site:
        node = site.node()
        alice = node.open("alice")
        await alice.sees("alice")
        bob = node.open("bob")
        await bob.sees("alice", "bob")
        await alice.sees("alice", "bob")

        await node.close(alice)
        await bob.sees("bob")

    assert [message["type"] for message in alice.heard] == ["presence", "presence_changed"]
    assert [message["type"] for message in bob.heard] == ["presence", "presence_changed"]
    assert bob.heard[1] == {
        "type": "presence_changed",
        "topic": "room:1",
        "joined": [],
        "left": ["alice"],
        "count": 1,
    }


@pytest.mark.usefixtures("without_beats")
async def test_a_user_with_two_pages_comes_once_and_leaves_with_the_last() -> None:
    async with opened() as site:
        here, there = site.node(), site.node()
        bob = here.open("bob")
        pages = [here.open("alice"), here.open("alice")]
        elsewhere = there.open("alice")
        await bob.sees("alice", "bob")
        for page in pages:
            await page.sees("alice", "bob")
            await here.close(page)
        await elsewhere.sees("alice", "bob")
        carol = here.open("carol")
        await bob.sees("alice", "bob", "carol")
        assert bob.gone == set()

        await there.close(elsewhere)
        await bob.sees("bob", "carol")
        await carol.sees("bob", "carol")


@pytest.mark.usefixtures("without_beats")
async def test_nodes_tell_each_other_at_once() -> None:
    async with opened() as site:
        one, two = site.node(), site.node()
        alice = one.open("alice")
        await alice.sees("alice")

        bob = two.open("bob")
        await bob.sees("alice", "bob")
        await alice.sees("alice", "bob")
        await two.close(bob)
        await alice.sees("alice")


@pytest.mark.usefixtures("without_beats")
async def test_topics_are_kept_apart() -> None:
    other = TopicName("room:2")
    async with opened() as site:
        node = site.node()
        alice, bob = node.open("alice"), node.open("bob", other)

        await alice.sees("alice")
        await bob.sees("bob")

    assert {message["topic"] for message in bob.heard} == {other}


@pytest.mark.usefixtures("with_beats")
async def test_a_notice_that_was_lost_is_made_up_for() -> None:
    async with opened(DeafBus()) as site:
        one, two = site.node(), site.node()
        alice, bob = one.open("alice"), two.open("bob")

        await alice.sees("alice", "bob")
        await bob.sees("alice", "bob")
        await two.close(bob)
        await alice.sees("alice")


@pytest.mark.usefixtures("with_beats")
async def test_the_users_of_a_node_that_died_leave_when_the_engine_gives_it_up() -> None:
    async with opened() as site:
        one, two = site.node(), site.node()
        alice, bob = one.open("alice"), two.open("bob")
        await alice.sees("alice", "bob")
        await bob.sees("alice", "bob")

        await two.die()
        del site.store.told[two.presence]

        await alice.sees("alice")


@pytest.mark.usefixtures("without_beats")
async def test_a_node_that_stops_takes_its_users_with_it_at_once() -> None:
    async with opened() as site:
        one, two = site.node(), site.node()
        alice, bob = one.open("alice"), two.open("bob")
        await alice.sees("alice", "bob")
        await bob.sees("alice", "bob")

        await two.stop()

        await alice.sees("alice")
        assert two.presence not in site.store.told


@pytest.mark.usefixtures("with_beats")
async def test_an_engine_that_was_away_and_forgot_is_told_again_and_nobody_seems_to_leave() -> None:
    async with opened() as site:
        one, two = site.node(), site.node()
        alice, bob = one.open("alice"), two.open("bob")
        await alice.sees("alice", "bob")
        await bob.sees("alice", "bob")
        before = {node: set(told) for node, told in site.store.told.items()}

        site.store.fails = True
        await until(lambda: site.store.failures > 6)
        site.store.told.clear()
        site.store.fails = False
        await until(lambda: site.store.told == before)
        carol = one.open("carol")
        await bob.sees("alice", "bob", "carol")
        await carol.sees("alice", "bob", "carol")

        assert alice.gone == bob.gone == set()


@pytest.mark.usefixtures("with_beats")
async def test_who_left_while_the_engine_was_away_is_gone_after_a_time_of_doubt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "LEASE_SECONDS", 0.2)
    async with opened() as site:
        one, two = site.node(), site.node()
        alice, bob = one.open("alice"), two.open("bob")
        await alice.sees("alice", "bob")
        await bob.sees("alice", "bob")

        site.store.fails = True
        await two.close(bob)
        await until(lambda: site.store.failures > 6)
        site.store.fails = False

        await alice.sees("alice")


@pytest.mark.usefixtures("with_beats")
async def test_while_the_engine_is_away_the_users_of_this_node_come_and_go() -> None:
    async with opened() as site:
        node, other = site.node(), site.node()
        elsewhere = other.open("zoe")
        alice = node.open("alice")
        await alice.sees("alice", "zoe")
        await elsewhere.sees("alice", "zoe")

        site.store.fails = True
        bob = node.open("bob")
        await alice.sees("alice", "bob", "zoe")
        await node.close(bob)
        await alice.sees("alice", "zoe")
        site.store.fails = False


@pytest.mark.usefixtures("with_beats")
async def test_a_list_that_is_not_known_yet_is_not_told() -> None:
    async with opened() as site:
        other, node = site.node(), site.node()
        zoe = other.open("zoe")
        await zoe.sees("zoe")
        site.store.fails = True
        alice = node.open("alice")
        await until(lambda: site.store.failures > 6)
        assert alice.heard == []

        site.store.fails = False
        await alice.sees("alice", "zoe")


@pytest.mark.usefixtures("with_beats")
async def test_who_leaves_before_the_list_is_known_is_not_kept() -> None:
    async with opened() as site:
        node = site.node()
        site.store.fails = True
        await node.close(node.open("alice"))

        await until(lambda: not node.rooms._rooms[ROOM].newcomers)
        site.store.fails = False


@pytest.mark.usefixtures("with_beats")
async def test_nothing_is_kept_of_a_topic_that_was_left() -> None:
    async with opened() as site:
        node = site.node()
        pages = [node.open(user) for user in ("alice", "bob")]
        for page in pages:
            await page.sees("alice", "bob")

        for page in pages:
            await node.close(page)

        await until(lambda: not node.rooms._rooms)
        assert site.store.told[node.presence] == set()


@pytest.mark.usefixtures("with_beats")
async def test_a_topic_is_looked_at_until_the_engine_agrees_that_it_was_left() -> None:
    failures: list[str] = []

    def fail_once(call: str) -> None:
        if call == "leave" and not failures:
            failures.append(call)
            raise Unavailable

    async with opened() as site:
        site.store.during = fail_once
        node = site.node()
        page = node.open("alice")
        await page.sees("alice")
        await until(lambda: bool(site.store.told[node.presence]))

        await node.close(page)

        await until(lambda: not site.store.told[node.presence])
    assert failures


@pytest.mark.usefixtures("with_beats")
async def test_a_topic_may_be_left_while_it_is_forgotten() -> None:
    async with opened() as site:
        node = site.node()
        site.store.during = lambda call: node.rooms.leave([ROOM])
        page = node.open("alice")
        await page.sees("alice")

        await node.close(page)
        await until(lambda: not node.rooms._rooms and not node.rooms._changed)

        await node.open("bob").sees("bob")


async def test_a_crowd_that_comes_at_once_is_told_in_few_messages() -> None:
    size = 500
    async with opened() as site:
        node = site.node()
        pages = []
        for number in range(size):
            pages.append(node.open(f"user {number}"))
            await asyncio.sleep(0)

        await asyncio.gather(*(page.sees(*(f"user {n}" for n in range(size))) for page in pages))

        messages = sum(len(page.heard) for page in pages)
        assert messages < size * 10  # One by one they would have been 125,000.


@pytest.mark.usefixtures("without_beats")
async def test_a_long_list_is_cut_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_NAMED", 2)
    async with opened() as site:
        node = site.node()
        alice = node.open("alice")
        await alice.sees("alice")
        carol = node.open("carol")
        await carol.sees("alice", "carol")
        bob = node.open("bob")

        await alice.sees("alice", "bob")
        await carol.sees("alice", "bob")
        assert alice.heard[-1] == {
            "type": "presence_changed",
            "topic": "room:1",
            "joined": ["bob"],
            "left": ["carol"],
            "count": 3,
        }
        await node.close(bob)
        await alice.sees("alice", "carol")


async def test_many_topics_fit_into_events() -> None:
    names = [TopicName(f"{number:06}" + "\x01" * 194) for number in range(40)]
    heard: list[str] = []
    bus = MemoryEventBus()
    await bus.subscribe(NOTICES, lambda delivery: heard.append(delivery.data.decode()), no_matter)
    async with opened(bus) as site:
        node = site.node()
        pages = [node.open("alice", name) for name in names]

        await asyncio.gather(*(page.sees("alice") for page in pages))
        await until(lambda: all(name[:6] in "".join(heard) for name in names))


def no_matter(*_: object) -> None: ...


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not true():  # noqa: ASYNC110 - of a look of a node nothing tells
            await asyncio.sleep(0.005)

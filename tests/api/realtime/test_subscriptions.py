import asyncio
from collections.abc import Sequence

import pytest

from platform_api.realtime import subscriptions as module
from platform_api.realtime.close_codes import CloseCode
from platform_api.realtime.session import Incoming, Session
from platform_api.realtime.sockets import Sockets, TooManyTopics
from platform_api.realtime.subscriptions import Joined, Subscriptions
from platform_api.realtime.topic import SlowPolicy
from platform_config import SocketsSettings
from platform_domain.errors import Unavailable
from platform_domain.event_bus import Delivery, EventBus, Interrupted, Position, Replay, Sink
from platform_domain.events import TopicName
from tests.api.realtime.peers import Peer, joined

pytestmark = pytest.mark.anyio

NEWS = TopicName("news")


class SlowBus(EventBus):
    """An engine that takes a turn of the loop for everything; it may fail, lose and forget."""

    def __init__(self) -> None:
        self.sinks: dict[TopicName, Sink] = {}
        self.interrupted: dict[TopicName, Interrupted] = {}
        self.log: list[Delivery] = []
        self.epoch = "e"
        self.fails = False
        self.deaf = False

    @property
    def head(self) -> Position:
        return Position(self.epoch, len(self.log))

    async def publish(self, topic: TopicName, data: bytes) -> None:
        delivery = Delivery(topic, Position(self.epoch, len(self.log) + 1), data)
        self.log.append(delivery)
        if topic in self.sinks and not self.deaf:
            self.sinks[topic](delivery)

    async def subscribe(self, topic: TopicName, sink: Sink, interrupted: Interrupted) -> Position:
        assert topic not in self.sinks, "asked for twice"
        await self._answer()
        self.sinks[topic] = sink
        self.interrupted[topic] = interrupted
        position = self.head
        await asyncio.sleep(0)
        return position

    async def unsubscribe(self, topic: TopicName, sink: Sink) -> None:
        await self._answer()
        del self.sinks[topic]

    async def replay(self, topic: TopicName, after: Position) -> Replay:
        await self._answer()
        complete = after.epoch == self.epoch and after.offset <= len(self.log)
        events = tuple(self.log[after.offset :]) if complete else ()
        found = Replay(events, self.head, complete)
        await asyncio.sleep(0)
        return found

    async def heads(self, topics: Sequence[TopicName]) -> Sequence[Position]:
        await self._answer()
        return [self.head for _ in topics]

    async def _answer(self) -> None:
        await asyncio.sleep(0)
        if self.fails:
            raise Unavailable


class Held:
    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.answer = asyncio.Event()


def held(bus: SlowBus, name: str, monkeypatch: pytest.MonkeyPatch) -> Held:
    """Keep the next answer of one method back until it is let go. `asked` says that it is there."""
    method, now = getattr(bus, name), Held()

    async def hold(*arguments: object) -> object:
        monkeypatch.setattr(bus, name, method)
        found = await method(*arguments)
        now.asked.set()
        await now.answer.wait()
        return found

    monkeypatch.setattr(bus, name, hold)
    return now


class Here:
    def __init__(self) -> None:
        self.bus = SlowBus()
        self.sockets = Sockets()
        self.subscriptions = Subscriptions(self.bus, self.sockets)

    def session(self) -> tuple[Session, Peer]:
        peer = Peer()
        return joined(self.sockets, peer), peer

    async def subscribe(self, session: Session, since: Position | None = None) -> Joined:
        return await self.subscriptions.subscribe(session, NEWS, SlowPolicy.DISCONNECT, since)

    async def publish(self, *numbers: int) -> None:
        for number in numbers:
            await self.bus.publish(NEWS, b"%d" % number)

    async def caught_up(self) -> None:
        """Let the task that catches up run until it has nothing more to do."""
        stopping = asyncio.Event()
        running = asyncio.create_task(self.subscriptions.run(stopping))
        for _ in range(60):
            await asyncio.sleep(0)
        stopping.set()
        await asyncio.wait_for(running, 5)


async def heard(session: Session, peer: Peer) -> list[object]:
    """Close the session and return the data of events, and the types of other messages."""

    async def ignore(session: Session, incoming: Incoming) -> None: ...

    session.close(CloseCode.NORMAL)
    await session.run(ignore, lambda *_: None)
    return [m["data"] if m["type"] == "event" else m["type"] for m in peer.heard]


async def test_listeners_of_one_topic_share_one_subscription() -> None:
    here = Here()
    pairs = [here.session(), here.session()]

    await asyncio.gather(*(here.subscribe(session) for session, _ in pairs))
    await here.publish(1)

    for session, peer in pairs:
        assert await heard(session, peer) == [1]
        assert peer.heard[0]["position"] == {"epoch": "e", "offset": 1}
        assert peer.heard[0]["topic"] == "news"


async def test_a_late_listener_gets_the_place_the_topic_has_come_to() -> None:
    here = Here()
    (one, _), (two, _) = here.session(), here.session()

    assert (await here.subscribe(one)).position == Position("e", 0)
    await here.publish(1)

    assert (await here.subscribe(two)).position == Position("e", 1)


async def test_the_last_listener_that_leaves_ends_the_subscription() -> None:
    here = Here()
    (one, _), (two, _) = here.session(), here.session()
    for session in (one, two):
        await here.subscribe(session)

    await here.subscriptions.unsubscribe(one, NEWS)
    assert NEWS in here.bus.sinks
    await here.subscriptions.leave(two)

    assert not here.bus.sinks
    assert not here.subscriptions._positions


async def test_a_socket_hears_no_more_topics_than_it_may() -> None:
    bus = SlowBus()
    sockets = Sockets(SocketsSettings(max_topics=2))
    subscriptions = Subscriptions(bus, sockets)
    session = joined(sockets, Peer())
    for topic in ("a", "b", "a"):
        await subscriptions.subscribe(session, topic, SlowPolicy.DISCONNECT)

    with pytest.raises(TooManyTopics):
        await subscriptions.subscribe(session, "c", SlowPolicy.DISCONNECT)

    assert set(bus.sinks) == session.topics == {"a", "b"}
    await subscriptions.unsubscribe(session, "a")
    await subscriptions.subscribe(session, "c", SlowPolicy.DISCONNECT)
    assert set(bus.sinks) == session.topics == {"b", "c"}


async def test_leaving_and_coming_at_once_keeps_the_newcomer() -> None:
    here = Here()
    (one, _), (two, peer) = here.session(), here.session()
    await here.subscribe(one)

    await asyncio.gather(here.subscriptions.leave(one), here.subscribe(two))
    await here.publish(1)

    assert await heard(two, peer) == [1]


async def test_an_event_that_comes_while_the_engine_answers_moves_the_place() -> None:
    here = Here()
    session, _ = here.session()
    subscribing = asyncio.create_task(here.subscribe(session))
    while NEWS not in here.bus.sinks:  # noqa: ASYNC110
        await asyncio.sleep(0)

    await here.publish(1)

    assert (await subscribing).position == Position("e", 1)


async def test_a_failed_subscription_leaves_nothing_and_may_be_tried_again() -> None:
    here = Here()
    session, _ = here.session()
    here.bus.fails = True
    with pytest.raises(Unavailable):
        await here.subscribe(session)
    assert not session.topics

    here.bus.fails = False

    await here.subscribe(session)


async def test_who_vanishes_while_the_engine_replays_leaves_no_subscription() -> None:
    here = Here()
    session, _ = here.session()
    resuming = asyncio.create_task(here.subscribe(session, since=Position("e", 0)))
    while here.subscriptions._positions.get(NEWS) is None:  # noqa: ASYNC110
        await asyncio.sleep(0)

    resuming.cancel()
    await asyncio.gather(resuming, return_exceptions=True)

    assert not here.bus.sinks
    assert not here.subscriptions._positions


async def test_a_replay_that_fails_takes_the_topic_from_nobody_else() -> None:
    here = Here()
    (one, peer), (two, _) = here.session(), here.session()
    await here.subscribe(one)
    here.bus.fails = True

    with pytest.raises(Unavailable):
        await here.subscribe(two, since=Position("e", 0))
    here.bus.fails = False
    await here.publish(1)

    assert await heard(one, peer) == [1]


async def test_who_was_ahead_and_left_is_not_remembered() -> None:
    here = Here()
    (stays, _), (one, _), (two, _) = here.session(), here.session(), here.session()
    await here.subscribe(stays)
    here.bus.deaf = True
    await here.publish(1)
    for session in (one, two):
        assert (await here.subscribe(session, since=Position("e", 0))).recovered
    assert here.subscriptions._ahead[NEWS].keys() == {one, two}

    await here.subscriptions.unsubscribe(one, NEWS)
    await here.subscriptions.leave(two)

    assert not here.subscriptions._ahead


async def test_a_session_that_is_cancelled_while_it_leaves_still_frees_its_topics() -> None:
    here = Here()
    session, _ = here.session()
    await here.subscribe(session)
    leaving = asyncio.create_task(here.subscriptions.leave(session))
    await asyncio.sleep(0)

    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    for _ in range(5):
        await asyncio.sleep(0)

    assert not here.bus.sinks


async def test_an_engine_that_cannot_unsubscribe_keeps_nobody_from_leaving() -> None:
    here = Here()
    session, _ = here.session()
    await here.subscribe(session)
    here.bus.fails = True

    await here.subscriptions.leave(session)

    assert not here.sockets.of_topic(NEWS)


async def test_who_resumes_gets_exactly_what_was_missed() -> None:
    here = Here()
    session, _ = here.session()
    await here.publish(1, 2, 3)

    joined = await here.subscribe(session, since=Position("e", 1))

    assert joined.recovered
    assert joined.position == Position("e", 3)
    assert [delivery.data for delivery in joined.missed] == [b"2", b"3"]


@pytest.mark.parametrize("since", [Position("other", 1), Position("e", 9)])
async def test_who_cannot_resume_is_told_so(since: Position) -> None:
    here = Here()
    session, peer = here.session()
    await here.publish(1)

    joined = await here.subscribe(session, since=since)
    await here.publish(2)

    assert (joined.recovered, joined.missed) == (False, ())
    assert joined.position == Position("e", 1)
    assert await heard(session, peer) == [2]


@pytest.mark.parametrize("limit", ["RESUME_MESSAGES", "RESUME_BYTES"])  # Each event is one byte.
async def test_a_page_that_missed_too_much_loads_again(
    monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(module, limit, 2)
    here = Here()
    (one, _), (two, _) = here.session(), here.session()
    await here.publish(1, 2, 3)

    assert (await here.subscribe(one, since=Position("e", 1))).recovered
    assert (await here.subscribe(two, since=Position("e", 0))).recovered is False


async def test_events_that_come_while_somebody_resumes_come_once_and_in_order() -> None:
    here = Here()
    (one, one_peer), (two, two_peer) = here.session(), here.session()
    await here.subscribe(one)
    await here.publish(1)
    resuming = asyncio.create_task(here.subscribe(two, since=Position("e", 0)))
    for number in (2, 3, 4):
        await asyncio.sleep(0)
        await here.publish(number)

    joined = await resuming
    await here.publish(5)

    missed = [int(delivery.data) for delivery in joined.missed]
    assert [*missed, *await heard(two, two_peer)] == [1, 2, 3, 4, 5]
    assert await heard(one, one_peer) == [1, 2, 3, 4, 5]


async def test_who_resumed_further_than_this_process_hears_nothing_twice() -> None:
    here = Here()
    (one, one_peer), (two, two_peer) = here.session(), here.session()
    await here.subscribe(one)
    here.bus.deaf = True  # Published, and on its way to this process.
    await here.publish(1, 2)

    joined = await here.subscribe(two, since=Position("e", 0))
    here.bus.deaf = False
    for delivery in list(here.bus.log):
        here.bus.sinks[NEWS](delivery)
    await here.publish(3)

    assert [int(delivery.data) for delivery in joined.missed] == [1, 2]
    assert await heard(two, two_peer) == [3]
    assert await heard(one, one_peer) == [1, 2, 3]


async def test_who_asks_again_without_a_place_hears_what_they_resumed_beyond() -> None:
    here = Here()
    (one, _), (two, peer) = here.session(), here.session()
    await here.subscribe(one)
    here.bus.deaf = True  # Published, and on its way to this process.
    await here.publish(1, 2)
    here.bus.deaf = False
    await here.subscribe(two, since=Position("e", 0))

    assert (await here.subscribe(two)).position == Position("e", 0)
    for delivery in list(here.bus.log):
        here.bus.sinks[NEWS](delivery)

    assert await heard(two, peer) == [1, 2]


async def test_who_resumes_while_the_engine_loses_its_memory_is_not_told_that_nothing_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = Here()
    (one, _), (two, peer) = here.session(), here.session()
    await here.subscribe(one)
    await here.publish(1)
    replay = held(here.bus, "replay", monkeypatch)
    resuming = asyncio.create_task(here.subscribe(two, since=Position("e", 0)))
    await replay.asked.wait()

    here.bus.log.clear()
    here.bus.epoch = "f"
    await here.publish(2)
    await here.caught_up()  # Who listens already was told of the loss.
    replay.answer.set()
    joined = await resuming
    await here.publish(3)

    assert (joined.recovered, joined.position) == (False, Position("f", 1))
    assert await heard(two, peer) == [3]


async def test_a_hole_in_the_numbers_is_filled_before_anything_else_is_told() -> None:
    here = Here()
    session, peer = here.session()
    await here.subscribe(session)
    await here.publish(1)
    here.bus.deaf = True
    await here.publish(2, 3)
    here.bus.deaf = False

    await here.publish(4)
    await here.caught_up()
    await here.publish(5)

    assert await heard(session, peer) == [1, 2, 3, 4, 5]


async def test_what_is_delivered_twice_is_told_once() -> None:
    here = Here()
    session, peer = here.session()
    await here.subscribe(session)
    await here.publish(1, 2)

    for delivery in list(here.bus.log):
        here.bus.sinks[NEWS](delivery)
    await here.caught_up()

    assert await heard(session, peer) == [1, 2]


async def test_an_interruption_is_caught_up_with() -> None:
    here = Here()
    session, peer = here.session()
    await here.subscribe(session)
    here.bus.deaf = True
    await here.publish(1, 2)
    here.bus.deaf = False

    here.bus.interrupted[NEWS]()
    await here.caught_up()

    assert await heard(session, peer) == [1, 2]


async def test_an_interruption_that_comes_during_a_look_is_caught_up_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "CHECK_SECONDS", 0.0)
    here = Here()
    session, peer = here.session()
    await here.subscribe(session)
    look = held(here.bus, "heads", monkeypatch)

    catching_up = asyncio.create_task(here.caught_up())
    await look.asked.wait()
    here.bus.interrupted[NEWS]()
    for _ in range(5):
        await asyncio.sleep(0)
    look.answer.set()
    await catching_up
    await here.publish(1)

    assert await heard(session, peer) == [1]


async def test_an_interruption_that_comes_while_the_engine_answers_is_caught_up_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = Here()
    session, peer = here.session()
    subscription = held(here.bus, "subscribe", monkeypatch)
    subscribing = asyncio.create_task(here.subscribe(session))
    await subscription.asked.wait()
    here.bus.deaf = True
    await here.publish(1)
    here.bus.deaf = False

    here.bus.interrupted[NEWS]()
    catching_up = asyncio.create_task(here.caught_up())
    for _ in range(5):
        await asyncio.sleep(0)
    subscription.answer.set()

    assert (await subscribing).position == Position("e", 0)
    await catching_up
    assert await heard(session, peer) == [1]


async def test_who_comes_when_all_left_during_a_replay_hears_nothing_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = Here()
    (one, _), (two, peer) = here.session(), here.session()
    await here.subscribe(one)
    here.bus.deaf = True
    await here.publish(1, 2)
    here.bus.deaf = False
    here.bus.interrupted[NEWS]()
    replay = held(here.bus, "replay", monkeypatch)
    catching_up = asyncio.create_task(here.caught_up())
    await replay.asked.wait()

    await here.subscriptions.leave(one)
    joined = await here.subscribe(two, since=Position("e", 1))
    replay.answer.set()
    await catching_up
    await here.publish(3)

    assert [delivery.data for delivery in joined.missed] == [b"2"]
    assert await heard(two, peer) == [3]


async def test_a_silent_loss_is_found_by_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHECK_SECONDS", 0.0)
    here = Here()
    session, peer = here.session()
    await here.subscribe(session)
    here.bus.deaf = True
    await here.publish(1)
    here.bus.deaf = False

    await here.caught_up()

    assert await heard(session, peer) == [1]


async def test_what_is_lost_for_good_is_a_reset_and_never_silence() -> None:
    here = Here()
    session, peer = here.session()
    await here.subscribe(session)
    await here.publish(1)
    here.bus.log.clear()
    here.bus.epoch = "f"  # The engine has lost its memory.

    await here.publish(2)
    await here.caught_up()
    await here.publish(3)

    assert await heard(session, peer) == [1, "reset", 3]
    assert peer.heard[1]["position"] == {"epoch": "f", "offset": 1}


async def test_catching_up_waits_for_an_engine_that_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.001)
    here = Here()
    session, peer = here.session()
    await here.subscribe(session)
    here.bus.deaf = here.bus.fails = True
    await here.publish(1)
    here.bus.interrupted[NEWS]()
    stopping = asyncio.Event()
    running = asyncio.create_task(here.subscriptions.run(stopping))
    await asyncio.sleep(0.01)

    here.bus.deaf = here.bus.fails = False
    async with asyncio.timeout(5):
        while here.subscriptions._positions[NEWS] != Position("e", 1):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    stopping.set()
    await running

    assert await heard(session, peer) == [1]

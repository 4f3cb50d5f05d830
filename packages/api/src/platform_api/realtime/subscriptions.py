"""Between the sockets and the engine: who hears what, in order, without a silent gap."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from weakref import WeakValueDictionary

from loguru import logger

from platform_api.realtime.encoder import event_message
from platform_api.realtime.messages import PositionView, Reset
from platform_api.realtime.outbox import MAX_BYTES, MAX_MESSAGES
from platform_api.realtime.session import Session
from platform_api.realtime.sockets import Sockets
from platform_api.realtime.topic import SlowPolicy
from platform_domain.errors import DomainError, Unavailable
from platform_domain.event_bus import Delivery, EventBus, Position, Replay
from platform_domain.events import TopicName

CHECK_SECONDS = 30.0
RETRY_SECONDS = 0.5
# What is replayed must leave room in an outbox: else a client could never catch up.
RESUME_MESSAGES = MAX_MESSAGES // 2
RESUME_BYTES = MAX_BYTES // 2


@dataclass(frozen=True, slots=True)
class Joined:
    """Events after `position` come by themselves; `missed` come before, when `recovered`."""

    position: Position
    recovered: bool | None = None
    missed: Sequence[Delivery] = ()


class Subscriptions:
    """Subscribes on the engine for the first listener of a topic, unsubscribes after the last.

    Keeps the place each topic has come to. A hole in the numbers, an interruption of the engine,
    or a place that lags behind makes it replay before it goes on; what cannot be replayed is told
    to the listeners by a `reset`.
    """

    def __init__(self, bus: EventBus, sockets: Sockets) -> None:
        self._bus = bus
        self._sockets = sockets
        # The place each topic that is heard has come to; None until the engine has said.
        self._positions: dict[str, Position | None] = {}
        # Who resumed further than this process had come: they know the next events already.
        self._ahead: defaultdict[str, dict[Session, int]] = defaultdict(dict)
        self._behind: asyncio.Queue[str] = asyncio.Queue()
        # Topics that are replayed, with the newest place that went by meanwhile.
        self._catching_up: dict[str, Position | None] = {}
        # One change of a topic at a time: else a last listener that leaves could end the
        # subscription that a first one has just asked for.
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def subscribe(
        self, session: Session, topic: str, slow: SlowPolicy, since: Position | None = None
    ) -> Joined:
        """Let `session` hear a topic. Raises `Unavailable`, `TooManyTopics`."""
        self._sockets.check_topics(session, topic)
        try:
            async with self._lock(topic):
                return await self._join(session, topic, slow, since)
        except BaseException:
            # Who asked for the engine's subscription may not have lived to hear it.
            await asyncio.shield(self._end_unheard(topic))
            raise

    async def unsubscribe(self, session: Session, topic: str) -> None:
        self._sockets.exit(session, topic)
        self._forget_ahead(session, topic)
        await self._end_unheard(topic)

    async def leave(self, session: Session) -> None:
        """Release everything the session held."""
        topics = sorted(session.topics)
        self._sockets.leave(session)
        for topic in topics:
            self._forget_ahead(session, topic)
        # Also when this very task is being cancelled: the engine must not go on for nobody.
        await asyncio.shield(self._end_all_unheard(topics))

    async def run(self, stopping: asyncio.Event) -> None:
        """Catch up with topics that fell behind, and look now and then whether one did."""
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._keep_catching_up()),
                group.create_task(self._keep_looking()),
            ]
            await stopping.wait()
            for task in tasks:
                task.cancel()

    async def _keep_catching_up(self) -> None:
        while True:
            await self._catch_up(await self._behind.get())

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            await self._find_laggards()

    async def _join(
        self, session: Session, topic: str, slow: SlowPolicy, since: Position | None
    ) -> Joined:
        position = self._positions.get(topic) or await self._begin(topic)
        joined = Joined(position) if since is None else await self._resume(topic, since)
        self._sockets.enter(session, topic, slow)
        self._forget_ahead(session, topic)
        if joined.position.offset > self._place(topic).offset:
            self._ahead[topic][session] = joined.position.offset
        return joined

    async def _begin(self, topic: str) -> Position:
        self._positions[topic] = None
        try:
            head = await self._bus.subscribe(
                TopicName(topic), self._deliver, partial(self._fall_behind, topic)
            )
        except BaseException:
            self._forget(topic)
            raise
        # A delivery may have come while we waited for the answer.
        position = self._positions[topic] = self._positions[topic] or head
        return position

    async def _resume(self, topic: str, since: Position) -> Joined:
        """Collect what came after `since`, up to at least where this process has come to."""
        missed: list[Delivery] = []
        while True:
            replay = await self._bus.replay(TopicName(topic), since)
            missed += replay.events
            since, place = replay.head, self._place(topic)
            # In another epoch: who listens was told of the loss meanwhile, or is about to be.
            if not replay.complete or since.epoch != place.epoch or _too_much(missed):
                return Joined(place, recovered=False)
            if since.offset >= place.offset:
                return Joined(since, recovered=True, missed=missed)

    def _place(self, topic: str) -> Position:
        position = self._positions[topic]
        assert position is not None  # noqa: S101 - set by _begin before anybody asks
        return position

    def _forget_ahead(self, session: Session, topic: str) -> None:
        self._ahead[topic].pop(session, None)
        if not self._ahead[topic]:
            del self._ahead[topic]

    async def _end_all_unheard(self, topics: Sequence[str]) -> None:
        for topic in topics:
            await self._end_unheard(topic)

    async def _end_unheard(self, topic: str) -> None:
        async with self._lock(topic):
            if self._sockets.is_heard(topic) or topic not in self._positions:
                return
            self._forget(topic)
            try:
                await self._bus.unsubscribe(TopicName(topic), self._deliver)
            except DomainError as error:
                logger.warning("A topic that nobody hears could not be ended: {}", error)

    def _forget(self, topic: str) -> None:
        del self._positions[topic]
        self._ahead.pop(topic, None)
        self._catching_up.pop(topic, None)

    def _deliver(self, delivery: Delivery) -> None:
        topic = delivery.topic
        if topic not in self._positions:
            return  # Nobody hears it any more.
        if topic in self._catching_up:
            self._catching_up[topic] = delivery.position
            return  # The replay will bring it.
        place = self._positions[topic]
        if place is None:
            self._positions[topic] = delivery.position
        elif _follows(delivery.position, place):
            self._tell(delivery)
        elif delivery.position.epoch != place.epoch or delivery.position.offset > place.offset:
            self._fall_behind(topic)

    def _tell(self, delivery: Delivery) -> None:
        topic = delivery.topic
        self._positions[topic] = delivery.position
        ahead = self._ahead.get(topic)
        if not ahead:
            self._sockets.tell(topic, event_message(delivery))
            return
        offset = delivery.position.offset
        knowing = {session for session, known in ahead.items() if known >= offset}
        self._sockets.tell(topic, event_message(delivery), except_for=knowing)
        self._ahead[topic] = {s: known for s, known in ahead.items() if known > offset}

    def _fall_behind(self, topic: str) -> None:
        if topic in self._positions and topic not in self._catching_up:
            self._catching_up[topic] = None
            self._behind.put_nowait(topic)

    async def _catch_up(self, topic: str) -> None:
        """Replay what a topic missed, then let live events through again."""
        try:
            while topic in self._catching_up:
                await self._replay(topic)
        finally:
            self._catching_up.pop(topic, None)

    async def _replay(self, topic: str) -> None:
        place = self._positions[topic]
        if place is None:
            async with self._lock(topic):
                return  # Its first listener has an answer of the engine now.
        try:
            replay = await self._bus.replay(TopicName(topic), place)
        except Unavailable:
            await asyncio.sleep(RETRY_SECONDS)
            return
        # Meanwhile all may have left and others come, who were told another place.
        if topic in self._catching_up and self._positions[topic] == place:
            self._apply(topic, replay)

    def _apply(self, topic: str, replay: Replay) -> None:
        for delivery in replay.events:
            self._tell(delivery)
        if not replay.complete:
            self._reset(topic, replay.head)
        if not self._went_by(topic, replay.head):
            del self._catching_up[topic]

    def _reset(self, topic: str, head: Position) -> None:
        self._positions[topic] = head
        self._ahead.pop(topic, None)
        reset = Reset(topic=topic, position=PositionView.of(head))
        for session in self._sockets.of_topic(topic):
            session.tell(reset)
        logger.warning("Events of a topic were lost; its listeners load again.", topic=topic)

    def _went_by(self, topic: str, place: Position) -> bool:
        """Say whether something came after the replay was made and before it was applied."""
        newest, self._catching_up[topic] = self._catching_up[topic], None
        if newest is None:
            return False
        return newest.epoch != place.epoch or newest.offset > place.offset

    async def _find_laggards(self) -> None:
        topics = [topic for topic, place in self._positions.items() if place is not None]
        try:
            heads = await self._bus.heads([TopicName(topic) for topic in topics])
        except Unavailable:
            return  # The engine's own reconnect will tell.
        for topic, head in zip(topics, heads, strict=True):
            if self._positions.get(topic) != head:
                self._fall_behind(topic)

    def _lock(self, topic: str) -> asyncio.Lock:
        return self._locks.setdefault(topic, asyncio.Lock())


def _follows(position: Position, place: Position) -> bool:
    return position.epoch == place.epoch and position.offset == place.offset + 1


def _too_much(missed: Sequence[Delivery]) -> bool:
    return len(missed) > RESUME_MESSAGES or sum(len(d.data) for d in missed) > RESUME_BYTES

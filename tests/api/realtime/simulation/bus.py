"""A broker and the nodes' connections to it: late, cut off, forgetful, and sometimes lossy."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from platform_domain.errors import Unavailable
from platform_domain.event_bus import Delivery, EventBus, Interrupted, Position, Replay, Sink
from platform_domain.events import TopicName
from platform_infrastructure.events.engine import replay_of
from tests.api.realtime.simulation.journal import Journal

RETAINED = 12
MAX_LATENCY = 0.3
MAX_DELAY = 1.0
"""Events may be longer on their way than answers."""


class Broker:
    """Numbers events, keeps the newest of each topic, and tells every node."""

    def __init__(self, journal: Journal) -> None:
        self.nodes: list[SimulatedBus] = []
        self._journal = journal
        self._epoch = 1
        self._heads: defaultdict[TopicName, int] = defaultdict(int)
        self._kept: defaultdict[TopicName, deque[Delivery]] = defaultdict(
            lambda: deque(maxlen=RETAINED)
        )

    def head(self, topic: TopicName) -> Position:
        return Position(f"epoch-{self._epoch}", self._heads[topic])

    def append(self, topic: TopicName, data: bytes) -> None:
        self._heads[topic] += 1
        delivery = Delivery(topic, self.head(topic), data)
        self._journal.truth[topic, delivery.position] = data
        self._kept[topic].append(delivery)
        for node in self.nodes:
            node.hear(delivery)

    def replay(self, topic: TopicName, after: Position) -> Replay:
        kept = [d for d in self._kept[topic] if d.position.offset > after.offset]
        return replay_of(kept, after, self.head(topic))

    def forget(self) -> None:
        """Lose everything and begin anew, as a broker without a disk does when it restarts."""
        self._epoch += 1
        self._heads.clear()
        self._kept.clear()


@dataclass(slots=True)
class Listening:
    sink: Sink
    interrupted: Interrupted
    start: Position


class SimulatedBus(EventBus):
    """One node's connection. Every call takes a while, and fails while the connection is lost."""

    def __init__(self, broker: Broker, chance: Random) -> None:
        self.listening: dict[TopicName, Listening] = {}
        self.loses = 0.0
        """How likely a delivery is lost without a word."""
        self._broker = broker
        self._chance = chance
        self._connected = True
        self._last_arrival = 0.0
        broker.nodes.append(self)

    async def publish(self, topic: TopicName, data: bytes) -> None:
        await self._travel()
        self._broker.append(topic, data)
        await self._travel()

    async def subscribe(self, topic: TopicName, sink: Sink, interrupted: Interrupted) -> Position:
        assert topic not in self.listening, f"{topic} is asked for twice"
        await self._travel()
        head = self._broker.head(topic)
        self.listening[topic] = Listening(sink, interrupted, head)
        try:
            await self._travel()
        except BaseException:
            del self.listening[topic]
            raise
        return head

    async def unsubscribe(self, topic: TopicName, sink: Sink) -> None:
        del self.listening[topic]
        await self._travel()

    async def replay(self, topic: TopicName, after: Position) -> Replay:
        await self._travel()
        replay = self._broker.replay(topic, after)
        await self._travel()
        return replay

    async def heads(self, topics: Sequence[TopicName]) -> Sequence[Position]:
        await self._travel()
        return [self._broker.head(topic) for topic in topics]

    def hear(self, delivery: Delivery) -> None:
        """Take what the broker sends: later, in order, unless it is lost on the way."""
        if not self._connected or self._chance.random() < self.loses:
            return
        loop = asyncio.get_running_loop()
        self._last_arrival = max(self._last_arrival, loop.time() + self._delay())
        loop.call_at(self._last_arrival, self._arrive, delivery)

    def cut(self) -> None:
        self._connected = False

    def mend(self) -> None:
        """Be connected again, and say so where it was not."""
        if self._connected:
            return
        self._connected = True
        for listening in list(self.listening.values()):
            listening.interrupted()

    def _arrive(self, delivery: Delivery) -> None:
        listening = self.listening.get(delivery.topic)
        if listening is None or not self._connected:
            return
        start = listening.start
        if delivery.position.epoch != start.epoch or delivery.position.offset > start.offset:
            listening.sink(delivery)

    def _delay(self) -> float:
        return self._chance.choice((self._latency(), MAX_DELAY))

    def _latency(self) -> float:
        return self._chance.choice((0.0, 0.001, 0.02, MAX_LATENCY))

    async def _travel(self) -> None:
        await asyncio.sleep(self._latency())
        if not self._connected:
            raise Unavailable

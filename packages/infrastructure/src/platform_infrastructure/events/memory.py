"""Events within one process: nothing to run, nothing that outlives it."""

import secrets
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice

from platform_domain.event_bus import Delivery, Interrupted, Position, Replay, Sink
from platform_domain.events import TopicName
from platform_infrastructure.events.engine import (
    RETAINED_EVENTS,
    RETAINED_SECONDS,
    EventEngine,
    Feeds,
    replay_of,
    require_small,
)
from platform_infrastructure.postgres.transaction import after_commit


@dataclass(slots=True)
class Log:
    kept: deque[Delivery] = field(default_factory=lambda: deque(maxlen=RETAINED_EVENTS))
    used_at: float = 0.0

    def behind(self, offset: int) -> tuple[Delivery, ...]:
        first = self.kept[0].position.offset if self.kept else 0
        return tuple(islice(self.kept, max(0, offset + 1 - first), None))


class MemoryEventBus(EventEngine):
    """Delivers right after the commit, in the order of the commits of one process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._epoch = secrets.token_hex(8)
        self._clock = clock
        self._feeds = Feeds()
        self._heads: dict[TopicName, int] = {}
        self._logs: OrderedDict[TopicName, Log] = OrderedDict()
        """The one that was used last is the last."""

    async def publish(self, topic: TopicName, data: bytes) -> None:
        require_small(data)
        after_commit(lambda: self._deliver(topic, data))

    async def subscribe(self, topic: TopicName, sink: Sink, interrupted: Interrupted) -> Position:
        head = self._head(topic)
        self._feeds.join(topic, sink, interrupted).begin(head)
        return head

    async def unsubscribe(self, topic: TopicName, sink: Sink) -> None:
        self._feeds.leave(topic, sink)

    async def replay(self, topic: TopicName, after: Position) -> Replay:
        log = self._logs.get(topic) or Log()
        return replay_of(log.behind(after.offset), after, self._head(topic))

    async def heads(self, topics: Sequence[TopicName]) -> Sequence[Position]:
        return [self._head(topic) for topic in topics]

    def _deliver(self, topic: TopicName, data: bytes) -> None:
        self._heads[topic] = self._heads.get(topic, 0) + 1
        delivery = Delivery(topic, self._head(topic), data)
        self._keep(delivery)
        self._feeds.tell(delivery)

    def _keep(self, delivery: Delivery) -> None:
        log = self._logs.setdefault(delivery.topic, Log())
        self._logs.move_to_end(delivery.topic)
        log.used_at = self._clock()
        log.kept.append(delivery)
        oldest = next(iter(self._logs))
        if self._logs[oldest].used_at < log.used_at - RETAINED_SECONDS:
            del self._logs[oldest]

    def _head(self, topic: TopicName) -> Position:
        return Position(self._epoch, self._heads.get(topic, 0))

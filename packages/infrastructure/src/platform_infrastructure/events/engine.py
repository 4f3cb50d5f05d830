"""Shared by all engines: limits, topics with local listeners, and what is not in the port."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from platform_domain.event_bus import Delivery, EventBus, Interrupted, Position, Replay, Sink
from platform_domain.events import EventTooLarge, TopicName
from platform_domain.health import HealthCheck

MAX_EVENT_BYTES = 15 * 1024
"""From 16 KiB on Valkey 9 stops counting what waits for a slow reader (valkey-io/valkey#2396)."""
RETAINED_EVENTS = 1000
"""How many events of a topic can be replayed, as long as they are not too old."""
RETAINED_SECONDS = 24 * 60 * 60
"""How old a replayed event may be. A client that was away longer reloads everything anyway."""


def require_small(data: bytes) -> None:
    """Raises `EventTooLarge`."""
    if len(data) > MAX_EVENT_BYTES:
        raise EventTooLarge(max_bytes=MAX_EVENT_BYTES)


def replay_of(kept: Sequence[Delivery], after: Position, head: Position) -> Replay:
    """Decide whether `kept`, the events after `after` that the engine still has, is complete.

    A position after the head is as invalid as another epoch: the engine has lost events.
    """
    if after.epoch == head.epoch and head.offset - after.offset == len(kept):
        return Replay(tuple(kept), head, complete=True)
    return Replay((), head, complete=False)


class Feed:
    """One topic on this node: it delivers each event at most once, in order.

    No listener has a position before `begin`. So an event that arrives earlier is not lost: the
    feed starts directly after it.
    """

    def __init__(self) -> None:
        self.listeners: list[tuple[Sink, Interrupted]] = []
        self.position: Position | None = None
        """The position of the last event."""
        self._start: Position | None = None

    def begin(self, head: Position) -> Position:
        """Return the position from which all listeners so far receive events: the first one set."""
        if self._start is None:
            self._start = self.position = head
        return self._start

    def tell(self, delivery: Delivery) -> None:
        if self.position is None:
            self.begin(delivery.position)
        if self.has_reached(delivery.position):
            return
        self.position = delivery.position
        for sink, _ in tuple(self.listeners):
            sink(delivery)

    def has_reached(self, position: Position) -> bool:
        return (
            self.position is not None
            and self.position.epoch == position.epoch
            and self.position.offset >= position.offset
        )

    def interrupt(self) -> None:
        for _, interrupted in tuple(self.listeners):
            interrupted()


class Feeds:
    """The feeds of all topics that have listeners."""

    def __init__(self) -> None:
        self._feeds: dict[TopicName, Feed] = {}

    @property
    def topics(self) -> Sequence[TopicName]:
        return tuple(self._feeds)

    def get(self, topic: TopicName) -> Feed | None:
        return self._feeds.get(topic)

    def join(self, topic: TopicName, sink: Sink, interrupted: Interrupted) -> Feed:
        feed = self._feeds.setdefault(topic, Feed())
        feed.listeners.append((sink, interrupted))
        return feed

    def leave(self, topic: TopicName, sink: Sink) -> bool:
        """Return whether this was the last listener of the topic."""
        feed = self._feeds[topic]
        first = next(pair for pair in feed.listeners if pair[0] == sink)
        feed.listeners.remove(first)
        if feed.listeners:
            return False
        del self._feeds[topic]
        return True

    def tell(self, delivery: Delivery) -> None:
        feed = self._feeds.get(delivery.topic)
        if feed is not None:
            feed.tell(delivery)

    def interrupt(self) -> None:
        for feed in tuple(self._feeds.values()):
            feed.interrupt()


class EventEngine(EventBus):
    checks: Sequence[HealthCheck] = ()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Hold what has to be given back at the end."""
        yield

"""The port of the engines that carry events from whoever publishes to whoever listens."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from platform_domain.events import TopicName


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a topic. Within one `epoch` events are numbered 1, 2, 3 … without a hole."""

    epoch: str
    offset: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way; `data` is the encoded event."""

    topic: TopicName
    position: Position
    data: bytes


@dataclass(frozen=True, slots=True)
class Replay:
    """What came after a place, in order. Without `complete` something is lost for good: the epoch
    is another one, or the engine does not keep events so long; `events` is empty then."""

    events: Sequence[Delivery]
    head: Position
    complete: bool


Sink = Callable[[Delivery], None]
"""Takes a delivery at once: it must not block and must not raise."""
Interrupted = Callable[[], None]
"""Told that deliveries may have been missed: the connection was lost and is back."""


class EventBus(Protocol):
    """Delivers the events of a topic in order, each at most once.

    Live delivery may lose events when the engine's connection blinks; the numbers tell, and
    `replay` brings back what the engine still keeps.
    """

    async def publish(self, topic: TopicName, data: bytes) -> None:
        """Give `data` the topic's next number and deliver it; with the commit when the caller is
        inside a unit of work. Raises `Unavailable`, and `EventTooLarge` above the engine's cap."""
        ...

    async def subscribe(self, topic: TopicName, sink: Sink, interrupted: Interrupted) -> Position:
        """Deliver to `sink` what comes after the position returned. Raises `Unavailable`."""
        ...

    async def unsubscribe(self, topic: TopicName, sink: Sink) -> None:
        """Deliver no more to `sink`."""
        ...

    async def replay(self, topic: TopicName, after: Position) -> Replay:
        """Return what came after `after`. Raises `Unavailable`."""
        ...

    async def heads(self, topics: Sequence[TopicName]) -> Sequence[Position]:
        """Return the place each topic has come to, in the same order. Raises `Unavailable`."""
        ...

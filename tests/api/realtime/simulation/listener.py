"""What one client knows of one topic, and whether what it hears may come next."""

from dataclasses import dataclass
from typing import Any

from platform_api.realtime.topic import SlowPolicy
from platform_domain.event_bus import Position
from tests.api.realtime.simulation.journal import require


@dataclass(slots=True)
class Listener:
    """The promise: every event in order and once; one that is missing was told to be."""

    topic: str
    slow: SlowPolicy
    place: Position
    dropped: int = 0
    begun_anew: bool = True
    """What was dropped may have been of before the last `subscribed` or `reset`."""

    def begin(self, place: Position) -> None:
        self.place, self.begun_anew = place, True

    def drop(self, count: int) -> None:
        require(self.slow is not SlowPolicy.DISCONNECT, f"{self.topic}: must not drop")
        require(count > 0, f"{self.topic}: dropped {count}")
        self.dropped += count

    def hear(self, event: Position) -> None:
        require(event.epoch == self.place.epoch, f"{self} heard {event}: another epoch")
        gap = event.offset - self.place.offset - 1
        require(gap >= 0, f"{self} heard {event}: again, or too late")
        require(gap <= self.dropped, f"{self} heard {event}: a silent gap")
        if not self.begun_anew:
            require(gap == self.dropped, f"{self} heard {event}: less is missing than was told")
        self.place, self.dropped, self.begun_anew = event, 0, False


def position(message: dict[str, Any]) -> Position:
    return Position(message["position"]["epoch"], message["position"]["offset"])

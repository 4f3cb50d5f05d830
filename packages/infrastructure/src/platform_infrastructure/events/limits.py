"""What all engines agree on, so that features cannot come to rely on one."""

from collections.abc import Sequence

from platform_domain.event_bus import Delivery, Position, Replay
from platform_domain.events import EventTooLarge

MAX_EVENT_BYTES = 15 * 1024
"""From 16 KiB on Valkey 9 stops counting what waits for a slow reader (valkey-io/valkey#2396)."""
RETAINED_EVENTS = 1000
"""How many events of a topic can be replayed, as long as they are not too old."""
RETAINED_SECONDS = 24 * 60 * 60
"""How old an event may be that can be replayed. Who was away for longer loads everything anyway."""


def require_small(data: bytes) -> None:
    """Raises `EventTooLarge`."""
    if len(data) > MAX_EVENT_BYTES:
        raise EventTooLarge(max_bytes=MAX_EVENT_BYTES)


def replay_of(kept: Sequence[Delivery], after: Position, head: Position) -> Replay:
    """Judge whether `kept`, the events behind `after` that the engine still has, are all of them.

    A place ahead of the head is as foreign as another epoch: the engine has forgotten events.
    """
    if after.epoch == head.epoch and head.offset - after.offset == len(kept):
        return Replay(tuple(kept), head, complete=True)
    return Replay((), head, complete=False)

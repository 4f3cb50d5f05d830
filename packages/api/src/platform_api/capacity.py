"""How much is worked on at a time."""

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context

from loguru import logger

from platform_api.saturation import Saturation

ALWAYS_ADMITTED = 16
SHRINKING = 0.7
YOUNG_WINDOWS = 5
LOG_INTERVAL_SECONDS = 5.0


class Group:
    """The requests that took their places in one window of time and are still at work."""

    __slots__ = ("size",)

    def __init__(self) -> None:
        self.size = 0


class Capacity:
    """Counts requests in flight and says whether there is room for one more.

    There is room for `max_in_flight`. While the event loop is saturated there is room for fewer
    that came in the last half second: who has been here for longer waits for something else, and
    must not keep everybody out. A few are let in whatever happens: the loop may be saturated with
    refusing, which must not become all it does. Refusals are logged together, at most one line
    every 5 s.
    """

    def __init__(self, max_in_flight: int) -> None:
        self._max = max_in_flight
        self._least = min(max_in_flight, ALWAYS_ADMITTED)
        self._max_young = float(max_in_flight)
        self._in_flight = 0
        self._young = deque([Group()], maxlen=YOUNG_WINDOWS)
        self._on_their_way = 0
        self._refused = 0
        self._saturation = Saturation(self.adapt)

    def has_room(self) -> bool:
        """Say it for a request that has come. Who gets False is to `refuse`."""
        self._on_their_way = max(0, self._on_their_way - 1)
        return self._is_room_beside(0)

    def will_have_room(self) -> bool:
        """Say it for one that is yet to be parsed, which takes a few turns of the loop.

        In each of them many connections are read, so it is counted from now on; until the end of
        the window at most, since some never come.
        """
        is_room = self._is_room_beside(self._on_their_way)
        self._on_their_way += is_room
        return is_room

    def _is_room_beside(self, others: int) -> bool:
        self._saturation.watch()
        if self._in_flight + others >= self._max:
            return False
        return self._count_young() + others < self._max_young

    def _count_young(self) -> int:
        return sum(group.size for group in self._young)

    @contextmanager
    def taken(self) -> Iterator["Place"]:
        """Hold a place for the length of the block."""
        place = Place(self)
        place.take()
        try:
            yield place
        finally:
            place.leave()

    def add(self) -> Group:
        """Count one more active request and return its group."""
        group = self._young[-1]
        self._in_flight += 1
        group.size += 1
        return group

    def remove(self, group: Group) -> None:
        self._in_flight -= 1
        group.size -= 1

    def adapt(self, is_saturated: bool) -> None:
        """Begin the next window: with fewer young ones if more would only make all of them late."""
        self._on_their_way = 0
        if is_saturated:
            used = min(self._max_young, self._count_young())
            self._max_young = max(self._least, used * SHRINKING)
        else:
            self._max_young = self._max
        self._young.append(Group())

    def refuse(self) -> None:
        """Count a request that was sent away."""
        if self._refused == 0:
            # In a context of its own: the line is not about the first request of many.
            asyncio.get_running_loop().call_later(
                LOG_INTERVAL_SECONDS, self._log_refusals, context=Context()
            )
        self._refused += 1

    def _log_refusals(self) -> None:
        logger.warning(
            "Overloaded: {} requests refused in {:g} s.", self._refused, LOG_INTERVAL_SECONDS
        )
        self._refused = 0


class Place:
    """What a request holds while the server works on it. It can be released and taken again."""

    __slots__ = ("_capacity", "_group")

    def __init__(self, capacity: Capacity) -> None:
        self._capacity = capacity
        self._group: Group | None = None

    def take(self) -> None:
        self._group = self._capacity.add()

    def take_again(self) -> bool:
        """Take the place if there is room; if not, count a refusal."""
        if self._capacity.has_room():
            self.take()
            return True
        self._capacity.refuse()
        return False

    def leave(self) -> None:
        if self._group is not None:
            self._capacity.remove(self._group)
            self._group = None

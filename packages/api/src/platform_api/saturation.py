"""Whether the event loop has more to do than it can."""

import asyncio
import time
from collections.abc import Callable
from math import inf

BEAT_SECONDS = 0.01
WINDOW_BEATS = 10
LATE_SECONDS = 0.005
BUSY_SHARE = 0.95


class Saturation:
    """Tells `observe` every ten beats, of 0.01 s or more, whether the loop was saturated.

    It was when it never rested, or when its timers were late even at best: the first of these
    cannot be seen where others take the processor away, the second not while the loop's turns are
    short. At best, because one long step of somebody's is no overload: that is CoDel's measure of
    a standing queue, RFC 8289, 3.2, taken of the loop. A loop that nobody asks is not saturated.
    """

    def __init__(self, observe: Callable[[bool], None]) -> None:
        self._observe = observe
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_needed = False
        self._least_late = inf
        self._beats = 0
        self._began = self._worked = 0.0

    def watch(self) -> None:
        """Measure at least until the next beat. Called for each request: an idle server sleeps."""
        self._is_needed = True
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # Another loop than the one that has ended, or the first.
            self._loop = loop
            self._begin(_now())

    def _begin(self, now: float) -> None:
        self._least_late, self._beats = inf, 0
        self._began, self._worked = now, time.thread_time()
        self._next_beat(now)

    def _next_beat(self, now: float) -> None:
        self._is_needed = False
        asyncio.get_running_loop().call_later(BEAT_SECONDS, self._beat, now + BEAT_SECONDS)

    def _beat(self, due: float) -> None:
        now = _now()
        self._beats += 1
        self._least_late = min(self._least_late, now - due)
        if not self._is_needed:
            self._loop = None
            self._observe(False)
        elif self._beats < WINDOW_BEATS:
            self._next_beat(now)
        else:
            self._observe(self._is_saturated(now))
            self._begin(now)

    def _is_saturated(self, now: float) -> bool:
        share = (time.thread_time() - self._worked) / (now - self._began)
        return share > BUSY_SHARE or self._least_late > LATE_SECONDS


def _now() -> float:
    return time.monotonic()  # The loop's own clock stands still while it works (uvloop's does).

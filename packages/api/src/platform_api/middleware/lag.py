"""Whether the event loop can keep up with its work."""

import asyncio
import time

BEAT_SECONDS = 0.01
PATIENCE_SECONDS = 0.1
STRICT_SECONDS = 0.005


class Lag:
    """Measures by a beat how long the loop has been busy without looking at its timers.

    One long step of somebody's is no overload: 0.1 s are forgiven, until the loop was late at
    every beat of 0.1 s; then only 5 ms are, until it was in time at every beat of 0.1 s. That is
    CoDel with a time-out in place of a queue: "Fail at Scale", ACM Queue 13(8), 2015, "Controlled
    Delay".
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._due: float | None = None
        self._since = 0.0
        self._is_late = False
        self._keeps_up = True
        self._was_asked = False

    def is_too_long(self) -> bool:
        """Say whether new work would only make everything later."""
        self._was_asked = True
        # The loop's own clock stands still while it works (uvloop's does).
        now = time.monotonic()
        loop = asyncio.get_running_loop()
        if self._due is None or loop is not self._loop:  # A loop that has ended beats no more.
            self._loop = loop
            self._next_beat(now)
            return False
        return now - self._due > (PATIENCE_SECONDS if self._keeps_up else STRICT_SECONDS)

    def _beat(self, due: float) -> None:
        now = time.monotonic()
        self._judge(now, is_late=now - due > BEAT_SECONDS)
        if self._was_asked:
            self._next_beat(now)
        else:  # An idle server sleeps.
            self._due = None

    def _judge(self, now: float, *, is_late: bool) -> None:
        if is_late is not self._is_late:
            self._is_late, self._since = is_late, now
        elif now - self._since > PATIENCE_SECONDS:
            self._keeps_up = not is_late

    def _next_beat(self, now: float) -> None:
        self._was_asked = False
        self._due = now + BEAT_SECONDS
        asyncio.get_running_loop().call_later(BEAT_SECONDS, self._beat, self._due)

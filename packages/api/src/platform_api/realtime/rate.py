"""How fast one socket may send."""

from collections.abc import Callable

BURST_SECONDS = 2.0


class Rate:
    """A token bucket: `per_second` on average, twice as many in a burst."""

    def __init__(self, per_second: float, clock: Callable[[], float]) -> None:
        self._per_second = per_second
        self._clock = clock
        self._tokens = per_second * BURST_SECONDS
        self._at = clock()

    def allows(self) -> bool:
        """Take one token, or say that there is none."""
        now = self._clock()
        earned = (now - self._at) * self._per_second
        self._tokens = min(self._tokens + earned, self._per_second * BURST_SECONDS)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

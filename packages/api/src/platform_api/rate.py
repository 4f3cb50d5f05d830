"""Limits how fast one peer may send."""

from collections.abc import Callable

BURST_SECONDS = 2.0


class Rate:
    """A token bucket: `per_second` tokens on average, and `burst` at once."""

    __slots__ = ("_at", "_burst", "_clock", "_per_second", "_tokens")

    def __init__(
        self, per_second: float, clock: Callable[[], float], *, burst: float = 0.0
    ) -> None:
        """The burst is at least the tokens of two seconds. `clock` returns seconds."""
        self._per_second = per_second
        self._burst = max(burst, per_second * BURST_SECONDS)
        self._clock = clock
        self._tokens = self._burst
        self._at = clock()

    def allows(self, cost: float = 1.0) -> bool:
        """Take `cost` tokens, or none if there are fewer."""
        now = self._clock()
        self._tokens = min(self._tokens + (now - self._at) * self._per_second, self._burst)
        self._at = now
        if self._tokens < cost:
            return False
        self._tokens -= cost
        return True

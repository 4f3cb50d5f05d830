"""Knows whether PostgreSQL answers, so that nobody waits for a server that does not.

A circuit breaker whose half-open trial is the prober: while it is open no request is let through;
the prober's own connection tries, and its first success closes it again.
"""

import asyncio
from collections.abc import Callable

from platform_domain.errors import Unavailable

Callback = Callable[[], None]


class Breaker:
    """Closed in good times. Whoever meets trouble calls `suspect`; the prober decides."""

    def __init__(self) -> None:
        self.suspected = asyncio.Event()
        """Set when somebody wants the prober to look now."""
        self.schema_is_behind = False
        """Set by the prober while the schema lacks what the code asks for."""
        self._open = False
        self._on_open: list[Callback] = []
        self._on_close: list[Callback] = []

    @property
    def is_open(self) -> bool:
        return self._open

    def on_open(self, callback: Callback) -> None:
        """Call `callback` each time the breaker opens."""
        self._on_open.append(callback)

    def on_close(self, callback: Callback) -> None:
        """Call `callback` each time the breaker closes."""
        self._on_close.append(callback)

    def require_closed(self) -> None:
        """Raises `Unavailable` while PostgreSQL is known not to answer."""
        if self._open:
            raise Unavailable

    def suspect(self) -> None:
        self.suspected.set()

    def open(self) -> None:
        self._turn(open=True, callbacks=self._on_open)

    def close(self) -> None:
        self._turn(open=False, callbacks=self._on_close)

    def _turn(self, *, open: bool, callbacks: list[Callback]) -> None:
        if self._open is open:
            return
        self._open = open
        for callback in callbacks:
            callback()

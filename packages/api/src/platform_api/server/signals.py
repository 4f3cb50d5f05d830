"""What the operator says: the first signal asks the server to stop, a second one insists."""

import os
import signal
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self

from platform_api.server.exit_codes import ExitCode

# A terminal sends ^C to the whole process group, and `uv run` sends it on to us once more.
ECHO_SECONDS = 0.5

NAMES = ("SIGINT", "SIGTERM", "SIGBREAK")  # SIGBREAK: Windows only.


def end_at_once() -> None:
    """End the process, whatever it is doing."""
    os._exit(ExitCode.FORCED)


class StopSignals:
    """Calls `on_first` at the first signal, and `on_second` at a later one that is no echo.

    The handlers are Python's, not the event loop's: they also run while the loop is blocked.
    Both run between two bytecodes of the main thread, so they may take no lock. `received` is the
    number of the last signal.
    """

    def __init__(
        self, on_first: Callable[[], None], on_second: Callable[[], None] = end_at_once
    ) -> None:
        self._on_first = on_first
        self._on_second = on_second
        self._first_at: float | None = None
        self.received: int | None = None

    def __enter__(self) -> Self:
        known = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]
        self._previous = {each: signal.signal(each, self._received) for each in known}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for each, handler in self._previous.items():
            signal.signal(each, handler)

    def _received(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        self.received = number
        if self._first_at is None:
            self._first_at = now
            self._on_first()
        elif now - self._first_at > ECHO_SECONDS:
            self._on_second()

"""Signals: the first one stops the server, a second one forces it; SIGUSR1 and SIGUSR2."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Self

from platform_api.server.exit_codes import ExitCode
from platform_api.server.standard_streams import drain

# A terminal sends ^C to the whole process group, and `uv run` sends it on to us once more.
ECHO_SECONDS = 0.5

if sys.platform != "win32":
    USER_SIGNALS = (signal.SIGUSR1, signal.SIGUSR2)

NAMES = ("SIGINT", "SIGTERM", "SIGBREAK")  # SIGBREAK: Windows only.


def end_at_once() -> None:
    """End the process, whatever it is doing."""
    drain()
    os._exit(ExitCode.FORCED)


def ignore_user_signals() -> None:
    """Ignore SIGUSR1 and SIGUSR2, which would end the process. Windows has neither."""
    if sys.platform != "win32":
        for each in USER_SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, USER_SIGNALS)


@contextmanager
def user_signals_held() -> Iterator[None]:
    """Block both signals in a process that is started in the block.

    The process inherits the mask, and `ignore_user_signals` removes it.
    """
    if sys.platform == "win32":
        yield
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, USER_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, USER_SIGNALS)


class StopSignals:
    """Calls `on_first` at the first signal, and `on_second` at a later one that is no echo.

    The handlers are Python's, not the event loop's: they also run while the loop is blocked.
    Both run between two bytecodes of the main thread, so they must not take locks. `received` is
    the number of the last signal.
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

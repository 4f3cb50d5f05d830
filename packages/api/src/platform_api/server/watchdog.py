"""Ends the process when its stop takes too long, even if the event loop no longer turns."""

import os
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread
from types import TracebackType
from typing import Self

from loguru import logger

from platform_api.server.exit_codes import ExitCode
from platform_api.server.stacks import log_threads
from platform_api.server.standard_streams import drain

LAST_WORDS_SECONDS = 2.0


class Watchdog:
    """Once armed, ends the process after `timeout` seconds and logs where each thread was.

    The thread is started early and gets its commands through a `SimpleQueue`. Starting a thread or
    setting an event would take locks that the code interrupted by a signal may hold.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._armed = False
        self._orders: SimpleQueue[bool] = SimpleQueue()
        self._thread = Thread(target=self._watch, name="watchdog", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._orders.put(False)
        self._thread.join()

    def arm(self) -> None:
        """Start the countdown. Safe in a signal handler; a second time changes nothing."""
        if not self._armed:
            self._armed = True
            self._orders.put(True)

    def _watch(self) -> None:
        armed = self._orders.get()
        if armed and not self._told_in_time():
            _end(self._timeout)

    def _told_in_time(self) -> bool:
        try:
            self._orders.get(timeout=self._timeout)
        except Empty:
            return False
        return True


def _end(timeout: float) -> None:
    """End the process. The log may be blocked, so another thread writes to it."""
    with suppress(RuntimeError):  # The system may be unable to start a thread.
        speaking = Thread(target=_log, args=(timeout,), name="last words", daemon=True)
        speaking.start()
        speaking.join(LAST_WORDS_SECONDS)
    os._exit(ExitCode.NOT_CLEAN)


def _log(timeout: float) -> None:
    logger.critical("The stop takes too long; the process ends now", seconds=timeout)
    log_threads("CRITICAL")
    drain()

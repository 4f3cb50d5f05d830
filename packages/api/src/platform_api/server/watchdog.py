"""Ends the process when its stop takes too long, even if the event loop no longer turns."""

import faulthandler
import os
import sys
from queue import Empty, SimpleQueue
from threading import Thread
from types import TracebackType
from typing import Self

from platform_api.server.exit_codes import ExitCode


class Watchdog:
    """Once armed, ends the process after `timeout` seconds and shows where each thread was.

    The thread waits from the beginning and is told through a `SimpleQueue`: both starting a thread
    and setting an event take locks that code interrupted by a signal may hold.
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
            faulthandler.dump_traceback(sys.__stderr__ or 2, all_threads=True)
            os._exit(ExitCode.NOT_CLEAN)

    def _told_in_time(self) -> bool:
        try:
            self._orders.get(timeout=self._timeout)
        except Empty:
            return False
        return True

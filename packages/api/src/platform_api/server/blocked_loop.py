"""Detects a blocked event loop and logs where it is blocked."""

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from loguru import logger

from platform_api.server.stacks import stack_of

PERIOD_SECONDS = 0.25
LIMIT_SECONDS = 1.0
GRACE_SECONDS = 0.1


class BlockedLoop:
    """A thread that schedules a callback in the running loop every 0.25 s until it is closed.

    The callback calls `on_turn`. If no callback has run for 1 s, the stack of the loop's thread is
    logged. When one finally runs, the duration is logged.
    """

    def __init__(self, on_turn: Callable[[], None]) -> None:
        self._on_turn = on_turn
        self._loop = asyncio.get_running_loop()
        self._loops_thread = threading.get_ident()
        self._turned = threading.Event()
        self._turned_at, self._computed = time.monotonic(), time.process_time()

    def watch(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._watch, name="blocked loop", daemon=True).start()

    def _watch(self) -> None:
        with suppress(RuntimeError):  # The loop is closed.
            while True:
                time.sleep(PERIOD_SECONDS)
                self._ask()

    def _ask(self) -> None:
        began, computed = self._turned_at, self._computed
        self._turned.clear()
        self._loop.call_soon_threadsafe(self._turn)
        rest = max(GRACE_SECONDS, began + LIMIT_SECONDS - time.monotonic())
        if self._turned.wait(rest) or self._loop.is_closed():
            return
        stack = stack_of(self._loops_thread)  # Take it now: the blocking code may end soon.
        stood_still = time.process_time() - computed < LIMIT_SECONDS / 2
        if self._turned.wait(GRACE_SECONDS) and stood_still:
            return  # The process was suspended, or the machine slept.
        logger.warning("Event loop blocked", seconds=_since(began), stack=stack)
        self._turned.wait()
        logger.warning("Event loop runs again", seconds=_since(began))

    def _turn(self) -> None:
        self._turned_at, self._computed = time.monotonic(), time.process_time()
        self._turned.set()
        self._on_turn()


def _since(moment: float) -> float:
    return round(time.monotonic() - moment, 1)

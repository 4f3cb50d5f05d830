"""What asyncio does when it cannot accept: quietly, and once a second."""

import asyncio
from collections.abc import Callable
from typing import Any

from loguru import logger

QUIET_SECONDS = 5.0
# asyncio tries as many accepts in a row as its backlog says, also when each fails, and plans a new
# attempt after every failure. With one there is one attempt a second.
ACCEPTS_IN_A_ROW = 1

Handler = Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object]


class AcceptFailures:
    """An exception handler that logs failing accepts as a line every five seconds.

    Removes: with no descriptor left asyncio logged a traceback for each attempt, thousands in
    seconds. Connections wait in the backlog until there are descriptors again. uvloop closes them
    at once and says nothing.
    """

    def __init__(self, otherwise: Handler | None) -> None:
        self._otherwise = otherwise
        self._quiet_until = 0.0

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if context["message"] == "socket.accept() out of system resource":
            self._tell(loop.time(), context["exception"])
        elif self._otherwise is not None:
            self._otherwise(loop, context)
        else:
            loop.default_exception_handler(context)

    def _tell(self, now: float, error: Exception) -> None:
        if now >= self._quiet_until:
            self._quiet_until = now + QUIET_SECONDS
            logger.warning("No new connection can be accepted: {}.", error)


def quieten(loop: asyncio.AbstractEventLoop) -> None:
    """Give the loop this exception handler, unless it has it."""
    present = loop.get_exception_handler()
    if not isinstance(present, AcceptFailures):
        loop.set_exception_handler(AcceptFailures(present))

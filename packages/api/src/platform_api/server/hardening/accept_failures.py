"""Accepts connections, even when the system has no resources for more."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import Context
from socket import socket
from types import ModuleType
from typing import Any

from loguru import logger

PERIOD_SECONDS = 5.0
PAUSE_SECONDS = 0.5
FAILED = "socket.accept() out of system resource"  # The message that asyncio uses.
GONE = (BlockingIOError, InterruptedError, ConnectionAbortedError)

Connected = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Handler = Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object]


class AcceptFailures:
    """A loop exception handler that logs the connections refused in 5 s as one line.

    Removes: with no descriptor left, asyncio logged a traceback for each attempt, thousands in
    seconds, and uvloop closed the connections and logged nothing.
    """

    def __init__(self, otherwise: Handler | None) -> None:
        self._otherwise = otherwise
        self._refused = 0
        self._error: object = None
        self._reporting: asyncio.TimerHandle | None = None

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if context["message"] == FAILED:
            self._count(loop, context["exception"])
        elif self._otherwise is not None:
            self._otherwise(loop, context)
        else:
            loop.default_exception_handler(context)

    def _count(self, loop: asyncio.AbstractEventLoop, error: Exception) -> None:
        self._refused += 1
        self._error = error
        if self._reporting is None:
            self._reporting = loop.call_later(PERIOD_SECONDS, self.report, context=Context())

    def report(self) -> None:
        """Log the refusals that were counted but not logged yet."""
        if self._reporting is not None:
            self._reporting.cancel()
            self._reporting = None
            logger.error("Connections were refused", refused=self._refused, reason=str(self._error))
            self._refused = 0


def installed(loop: asyncio.AbstractEventLoop) -> AcceptFailures:
    """Return the loop's handler for accept failures. All servers on the loop share it."""
    present = loop.get_exception_handler()
    if isinstance(present, AcceptFailures):
        return present
    failures = AcceptFailures(present)
    loop.set_exception_handler(failures)
    return failures


class Acceptor:
    """Accepts connections from a listening socket, one in each turn of the loop.

    When the system has no descriptor or memory left, the connection is closed, so that its client
    can try elsewhere, and the loop's exception handler is called. One descriptor is reserved for
    this. If even this fails, connections wait in the socket's queue for half a second.
    """

    def __init__(
        self, listening: socket, connected: Connected, loop: asyncio.AbstractEventLoop
    ) -> None:
        """Raises `NotImplementedError` where the loop cannot watch a socket (Windows)."""
        self._listening = listening
        self._connected = connected
        self._loop = loop
        self._beginning: set[asyncio.Task[Any]] = set()
        self._resuming: asyncio.TimerHandle | None = None
        self._spare = -1
        self._resume()

    def close(self) -> None:
        """Stop accepting connections."""
        if self._resuming is not None:
            self._resuming.cancel()
        self._loop.remove_reader(self._listening)
        self._listening.close()
        self._give_spare_up()

    async def wait_closed(self) -> None:
        """Return when each accepted connection has the task that serves it."""
        if self._beginning:
            await asyncio.wait(self._beginning)

    def _resume(self) -> None:
        self._loop.add_reader(self._listening, self._accept)
        self._take_spare()

    def _accept(self) -> None:
        try:
            connection, _ = self._listening.accept()
        except GONE:
            return
        except OSError as error:
            self._loop.call_exception_handler({"message": FAILED, "exception": error})
            self._turn_away()
        else:
            task = self._loop.create_task(self._begin(connection))
            self._beginning.add(task)
            task.add_done_callback(self._beginning.discard)

    async def _begin(self, connection: socket) -> None:
        reader = asyncio.StreamReader(loop=self._loop)
        protocol = asyncio.StreamReaderProtocol(reader, self._connected, loop=self._loop)
        try:
            await self._loop.connect_accepted_socket(lambda: protocol, connection)
        except OSError:  # The client has already disconnected.
            connection.close()

    def _turn_away(self) -> None:
        """Close a connection with the spare descriptor, or pause accepting for a moment."""
        self._give_spare_up()
        try:
            self._listening.accept()[0].close()
        except GONE:
            pass
        except OSError:
            self._loop.remove_reader(self._listening)
            self._resuming = self._loop.call_later(PAUSE_SECONDS, self._resume)
            return
        self._take_spare()

    def _take_spare(self) -> None:
        with suppress(OSError):
            self._spare = os.open(os.devnull, os.O_RDONLY)

    def _give_spare_up(self) -> None:
        if self._spare >= 0:
            os.close(self._spare)
            self._spare = -1


async def start_server(
    connected: Connected, *, sock: socket, backlog: int
) -> Acceptor | asyncio.Server:
    """Like `asyncio.start_server` for a socket that listens already."""
    try:
        return Acceptor(sock, connected, asyncio.get_running_loop())
    except NotImplementedError:
        return await asyncio.start_server(connected, sock=sock, backlog=backlog)


class Asyncio(ModuleType):
    """asyncio with our `start_server`, for the module in which Hypercorn calls it."""

    start_server = staticmethod(start_server)

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

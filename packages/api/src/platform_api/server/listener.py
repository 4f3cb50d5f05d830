"""One app on one port, from the bound socket to the last connection."""

import asyncio
import errno
import os
import socket
import sys
from collections.abc import Callable

from loguru import logger
from starlette.types import ASGIApp

from platform_api.server.hypercorn import serve
from platform_domain.startup import StartupError

CLOSING_SECONDS = 1.0
KEEP_ALIVE_IDLE_SECONDS = 30
KEEP_ALIVE_INTERVAL_SECONDS = 10
USER_TIMEOUT_MILLISECONDS = 30_000


class Listener:
    """Serves `app` on `bound`. `drain_timeout` is in seconds."""

    def __init__(self, app: ASGIApp, bound: socket.socket, *, drain_timeout: float) -> None:
        self._app = app
        self._bound = bound
        self._drain_timeout = drain_timeout
        self._stop = asyncio.Event()
        self.address = address_of(bound)

    async def open(self, *, on_end: Callable[[], None]) -> None:
        """Return when connections are accepted; call `on_end` when serving has ended.

        Raises `StartupError` when the port was taken after it was bound.
        """
        opened = asyncio.Event()
        self._serving = asyncio.create_task(self._serve(opened), name=f"http {self.address}")
        self._serving.add_done_callback(lambda _: opened.set())
        self._serving.add_done_callback(lambda _: on_end())
        await opened.wait()
        if self._serving.done():
            await self._serving

    async def _serve(self, opened: asyncio.Event) -> None:
        try:
            await serve(
                self._app,
                [self._bound],
                stop=self._stop,
                on_listening=opened.set,
                drain_timeout=self._drain_timeout,
            )
        except OSError as error:
            raise StartupError(_refusal(self.address, error)) from error

    def stop(self) -> None:
        """Refuse new connections and close the idle ones."""
        self._stop.set()

    async def close(self) -> None:
        """Wait a moment for the last connections to close, then cut them off.

        Raises what made the serving end, if it was not `stop`.
        """
        self.stop()
        if await _ended(self._serving):
            return await self._serving
        logger.warning("Connections to {} do not close; they are cut off.", self.address)
        self._serving.cancel()
        await _ended(self._serving)


async def _ended(task: asyncio.Task[None]) -> bool:
    done, _ = await asyncio.wait({task}, timeout=CLOSING_SECONDS)
    return bool(done)


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that owns the port but does not listen. Port 0 takes any free one.

    Raises `StartupError` when the address cannot be had.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise StartupError(_refusal(f"{host}:{port}", error)) from error
    try:
        _set_options(bound)
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise StartupError(_refusal(f"{host}:{port}", error)) from error
    return bound


def address_of(bound: socket.socket) -> str:
    """Return the address as it stands in a URL, with the real port."""
    host, port = bound.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _set_options(bound: socket.socket) -> None:
    """Set what accepted connections inherit: notice a dead peer, with or without data on the way.

    TCP_USER_TIMEOUT is what ends a connection whose peer stopped to read or to acknowledge;
    keepalive alone is silent while unacknowledged data is waiting. Systems without an option keep
    their default.
    """
    if sys.platform == "win32":
        # There SO_REUSEADDR would let a second server steal the port.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
    else:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", KEEP_ALIVE_IDLE_SECONDS),
        ("TCP_KEEPINTVL", KEEP_ALIVE_INTERVAL_SECONDS),
        ("TCP_USER_TIMEOUT", USER_TIMEOUT_MILLISECONDS),
    ):
        if hasattr(socket, name):
            bound.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _refusal(address: str, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"{address} is already in use: stop the program that has it or choose another port."
    if error.errno == errno.EACCES:
        return f"{address} may not be used by this user: choose a port above 1023."
    reason = error.strerror or os.strerror(error.errno or 0)
    return f"{address} cannot be listened on: {reason}."

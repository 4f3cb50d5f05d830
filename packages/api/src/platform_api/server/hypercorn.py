"""Hypercorn behind the server's port: an app and bound sockets in, served until told to stop.

HTTP/1.1 only: TLS, HTTP/2 and HTTP/3 belong to the proxy in front. Draining, 503s and closing of
WebSockets happen above, at the ASGI level, so another server can take this one's place.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from socket import socket
from typing import cast

import hypercorn.asyncio
from hypercorn.config import Config
from hypercorn.typing import ASGIFramework
from starlette.types import ASGIApp, Receive, Scope, Send

BACKLOG = 1024
KEEP_ALIVE_SECONDS = 5.0


async def serve(
    app: ASGIApp,
    sockets: Sequence[socket],
    *,
    stop: asyncio.Event,
    on_listening: Callable[[], None],
    drain_timeout: float,
) -> None:
    """Serve `app` on `sockets`, which are bound but do not listen yet, and take them over.

    Calls `on_listening` when connections are accepted. After `stop` the listeners and idle
    connections close at once, and this returns when the last connection has ended. Do not rely on
    `drain_timeout` (seconds) to cut off long ones: on Python >= 3.12.1 asyncio's own loop waits
    for them without end (pgjones/hypercorn#308), so the caller cancels when it has waited enough.
    Raises `OSError` when a socket cannot listen.
    """

    async def stopped() -> None:
        on_listening()
        await stop.wait()

    for each in sockets:
        each.listen(BACKLOG)  # While it is ours: Hypercorn does not close one that cannot listen.
    await hypercorn.asyncio.serve(
        cast(ASGIFramework, _with_lifespan(app)),
        _config(sockets, drain_timeout),
        shutdown_trigger=stopped,
        mode="asgi",
    )


def _config(sockets: Sequence[socket], drain_timeout: float) -> Config:
    config = Config()
    config.bind = [f"fd://{each.detach()}" for each in sockets]
    config.backlog = BACKLOG
    config.alpn_protocols = ["http/1.1"]
    config.keep_alive_timeout = KEEP_ALIVE_SECONDS
    config.graceful_timeout = drain_timeout
    config.include_server_header = False
    config.accesslog = None
    config.errorlog = _error_log()
    return config


def _error_log() -> logging.Logger:
    # "Running on …" comes once a socket and cannot tell the admin port from the public one.
    log = logging.getLogger("hypercorn.error")
    log.setLevel(logging.WARNING)
    return log


def _with_lifespan(app: ASGIApp) -> ASGIApp:
    """Answer the lifespan protocol: resources open before there is a server, and close after it."""

    async def answering(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _answer_lifespan(receive, send)
        else:
            await app(scope, receive, send)

    return answering


async def _answer_lifespan(receive: Receive, send: Send) -> None:
    for event in ("lifespan.startup", "lifespan.shutdown"):
        await receive()
        await send({"type": f"{event}.complete"})

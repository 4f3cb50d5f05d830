"""Hypercorn behind the server's port: an app and bound sockets in, served until told to stop.

HTTP/1.1 only: TLS, HTTP/2 and HTTP/3 belong to the proxy in front. Draining, 503s and closing of
WebSockets happen above, at the ASGI level, so another server can take this one's place. What
Hypercorn needs to face strangers is in `hardening/`.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from socket import socket
from typing import cast

import hypercorn.asyncio
from hypercorn.typing import ASGIFramework
from starlette.types import ASGIApp, Receive, Scope, Send

from platform_api.server.hardening.accept_failures import installed
from platform_api.server.hardening.connections import ENDING_SECONDS
from platform_api.server.hardening.install import install
from platform_api.server.hardening.limits import HardenedConfig, Limits, Shed, nothing_shed

BACKLOG = 1024


async def serve(
    app: ASGIApp,
    sockets: Sequence[socket],
    *,
    stop: asyncio.Event,
    on_listening: Callable[[], None],
    drain_timeout: float,
    limits: Limits,
    shed: Shed = nothing_shed,
) -> None:
    """Serve `app` on `sockets`, which are bound but do not listen yet, and take them over.

    `shed` may answer a request before it is parsed; see `LoadShedding`.
    Calls `on_listening` when connections are accepted. After `stop` the listeners and idle
    connections close at once, and this returns when the last connection has ended, or about a
    second after `drain_timeout` (seconds) when some had to be cut off. The same happens at once
    when this is cancelled. Raises `OSError` when a socket cannot listen.
    """
    config = _config(drain_timeout, limits, shed)

    async def stopped() -> None:
        on_listening()
        await stop.wait()
        config.connections.cut_off_in(drain_timeout)

    for each in sockets:
        each.listen(BACKLOG)  # While it is ours: Hypercorn does not close one that cannot listen.
    config.bind = [f"fd://{each.detach()}" for each in sockets]
    install()
    accept_failures = installed(asyncio.get_running_loop())
    try:
        await hypercorn.asyncio.serve(
            cast(ASGIFramework, _with_lifespan(app)), config, shutdown_trigger=stopped, mode="asgi"
        )
        await config.connections.finished()
    finally:
        accept_failures.report()
        await config.connections.ended()


def _config(drain_timeout: float, limits: Limits, shed: Shed) -> HardenedConfig:
    config = HardenedConfig(limits=limits, shed=shed)
    config.backlog = BACKLOG
    config.alpn_protocols = ["http/1.1"]
    config.graceful_timeout = drain_timeout + ENDING_SECONDS
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

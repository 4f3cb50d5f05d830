"""A server for hostile clients: `python -m tests.e2e.hardening.program '{"loop": "asyncio"}'`.

With `HARDENED=0` in the environment it is a plain Hypercorn: every test here then fails, and tells
so what its part of the hardening is for.
"""

import asyncio
import json
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import hypercorn.asyncio
from hypercorn.config import Config
from loguru import logger
from starlette.requests import Request
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from platform_api.server.binding import bind
from platform_api.server.hardening.limits import Limits
from platform_api.server.hypercorn import serve
from platform_api.server.loop import new_loop
from platform_config import HttpSettings, SocketsSettings

Handler = Callable[[Scope, Receive, Send], Awaitable[None]]
CHATTERING: list[asyncio.Task[None]] = []
LARGE = 64 * 1024 * 1024


@dataclass(frozen=True)
class Options:
    loop: str = "uvloop"
    drain_timeout: float = 2.0
    max_files: int = 0
    limits: dict[str, Any] = field(default_factory=dict)


def limits_of(options: Options) -> Limits:
    return replace(Limits.of(HttpSettings(), SocketsSettings()), **options.limits)


async def answer(send: Send, body: bytes) -> None:
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def state(scope: Scope, receive: Receive, send: Send) -> None:
    tasks, files = len(asyncio.all_tasks()), len(os.listdir("/proc/self/fd"))
    await answer(send, json.dumps({"tasks": tasks, "files": files}).encode())


async def show(scope: Scope, receive: Receive, send: Send) -> None:
    """Read the body and answer what was understood."""
    request = Request(scope, receive)
    read = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        read += len(message["body"])
        if not message["more_body"]:
            break
    say(f"ran {scope['path']}")
    shown = {"method": scope["method"], "host": request.headers.get("host"), "read": read}
    await answer(send, json.dumps(shown).encode())


async def unread(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer without reading, after the body has had the time to fill every queue."""
    await asyncio.sleep(0.5)
    await answer(send, b"not interested")


async def large(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, bytes(LARGE))
    say("large answer is over")


async def endless(scope: Scope, receive: Receive, send: Send) -> None:
    say("endless")
    await asyncio.Event().wait()


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    say("accepting")
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] != "websocket.disconnect":
        if "bytes" in message or "text" in message:
            reply = {"bytes": message.get("bytes"), "text": message.get("text")}
            await send({"type": "websocket.send", **reply})
    say(f"disconnect {message['code']} {message.get('reason') or '-'}")


async def ignore(scope: Scope, receive: Receive, send: Send) -> None:
    """Never look at what comes, and end after a while."""
    await send({"type": "websocket.accept"})
    await asyncio.sleep(1.0)
    say("ignored enough")


async def flood(scope: Scope, receive: Receive, send: Send) -> None:
    """Send until the peer is gone."""
    websocket = WebSocket(scope, receive, send)
    await websocket.accept()
    sending = asyncio.create_task(_flood(websocket))
    try:
        while (await receive())["type"] != "websocket.disconnect":
            pass
    finally:
        sending.cancel()
        say("flood is over")


async def _flood(websocket: WebSocket) -> None:
    while True:
        await websocket.send_bytes(bytes(1024 * 1024))


async def chatter(scope: Scope, receive: Receive, send: Send) -> None:
    """End, and leave a task behind that goes on sending for a while."""
    websocket = WebSocket(scope, receive, send)
    await websocket.accept()
    CHATTERING.append(asyncio.create_task(_chatter(websocket)))
    say("chatter is over")


async def _chatter(websocket: WebSocket) -> None:
    while True:
        await websocket.send_text("and another thing")


async def close(scope: Scope, receive: Receive, send: Send) -> None:
    """Close, and wait for the end as one should."""
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.close", "code": 4400, "reason": "enough"})
    while (message := await receive())["type"] != "websocket.disconnect":
        pass
    say(f"disconnect {message['code']} {message.get('reason') or '-'}")


async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "websocket.close"})
    while (await receive())["type"] != "websocket.disconnect":
        pass


async def wait(scope: Scope, receive: Receive, send: Send) -> None:
    """Never accept."""
    say("waiting")
    while (message := await receive())["type"] != "websocket.disconnect":
        pass
    say(f"disconnect {message['code']}")


HANDLERS: dict[str, Handler] = {
    "/state": state,
    "/show": show,
    "/smuggled": show,
    "/unread": unread,
    "/large": large,
    "/endless": endless,
    "/echo": echo,
    "/ignore": ignore,
    "/flood": flood,
    "/chatter": chatter,
    "/close": close,
    "/refuse": refuse,
    "/wait": wait,
}


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    await HANDLERS[scope["path"]](scope, receive, send)


def say(what: str) -> None:
    print(what, flush=True)  # noqa: T201 - the test reads it


async def main(options: Options) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    bound = bind("127.0.0.1", 0)
    port = bound.getsockname()[1]

    def on_listening() -> None:
        say(f"Process {os.getpid()} listens on {port}.")

    await _serving(options, bound, stop, on_listening)
    say("stopped")


async def _serving(
    options: Options, bound: socket.socket, stop: asyncio.Event, on_listening: Callable[[], None]
) -> None:
    if os.environ.get("HARDENED") == "0":
        await _serve_plainly(options, bound, stop, on_listening)
        return
    await serve(
        app,
        [bound],
        stop=stop,
        on_listening=on_listening,
        drain_timeout=options.drain_timeout,
        limits=limits_of(options),
    )


async def _serve_plainly(
    options: Options, bound: socket.socket, stop: asyncio.Event, on_listening: Callable[[], None]
) -> None:
    limits = limits_of(options)
    config = Config()
    config.bind = [f"fd://{bound.detach()}"]
    config.backlog = 1024
    config.graceful_timeout = options.drain_timeout
    config.keep_alive_timeout = limits.keep_alive_timeout
    config.h11_max_incomplete_size = limits.head_bytes
    config.websocket_max_message_size = limits.message_bytes
    config.websocket_ping_interval = limits.ping_interval
    config.errorlog = logging.getLogger("hypercorn.error")

    async def stopped() -> None:
        on_listening()
        await stop.wait()

    await hypercorn.asyncio.serve(app, config, shutdown_trigger=stopped, mode="asgi")  # type: ignore[arg-type]


if __name__ == "__main__":
    logger.remove()
    logger.add(sys.stdout, format="{message} {extra}", diagnose=False)
    logging.basicConfig(stream=sys.stdout, level=logging.WARNING)
    given = Options(**json.loads(sys.argv[1]))
    if given.max_files:
        resource.setrlimit(resource.RLIMIT_NOFILE, (given.max_files, given.max_files))
    with asyncio.Runner(
        loop_factory=new_loop if given.loop == "uvloop" else asyncio.new_event_loop
    ) as runner:
        runner.run(main(given))

"""A small server for tests: `python -m tests.e2e.server.program '{"fault": "…"}'`.

It prints what happens to it, a line an event, between the lines of its log.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

from loguru import logger
from pydantic import Field
from starlette.types import Receive, Scope, Send

from platform_api.server.hardening.limits import Limits
from platform_api.server.in_flight import InFlight
from platform_api.server.last_answers import LastAnswers
from platform_api.server.lifecycle import Lifecycle
from platform_api.server.loop import new_loop
from platform_api.server.runner import Server
from platform_config import HttpSettings, ServerSettings, ShutdownSettings, SocketsSettings
from platform_domain.startup import StartupError

if TYPE_CHECKING:
    from loguru import Record


class HastyShutdown(ShutdownSettings):
    watchdog_after: float = Field(30, description="Seconds for the whole stop.")

    @property
    def watchdog(self) -> float:
        return self.watchdog_after


@dataclass(frozen=True)
class Options:
    """`fault` is what goes wrong with the resources, `closer` with the closer."""

    loop: str = "uvloop"
    port: int = 0
    delay: float = 0.0
    requests_timeout: float = 10.0
    sockets_timeout: float = 1.0
    watchdog_after: float = 30.0
    fault: str = ""
    closer: str = ""
    lifecycle: Lifecycle = field(default_factory=Lifecycle)


class App:
    """Each path is a way a handler may behave."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        self._lifecycle = lifecycle
        self._ways: dict[str, Callable[[Send], Awaitable[None]]] = {
            "/fast": self.fast,
            "/until-drain": self.until_drain,
            "/endless": self.endless,
            "/endless-stream": self.endless_stream,
            "/stubborn": self.stubborn,
            "/block": self.block,
            "/exit": self.exit,
            "/interrupt": self.interrupt,
            "/exit-in-task": self.exit_in_task,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        say(scope["path"])
        await self._ways[scope["path"]](send)

    async def fast(self, send: Send) -> None:
        await answer(send, b"fast")

    async def until_drain(self, send: Send) -> None:
        await self._lifecycle.draining.wait()
        await asyncio.sleep(0.3)
        await answer(send, b"finished")

    async def endless(self, send: Send) -> None:
        await asyncio.Event().wait()

    async def endless_stream(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        await asyncio.Event().wait()

    async def stubborn(self, send: Send) -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                say("not me")

    async def block(self, send: Send) -> None:
        time.sleep(60)  # noqa: ASYNC251 - a blocked loop is what the test is about

    async def exit(self, send: Send) -> NoReturn:
        sys.exit("a handler may not stop the server")

    async def interrupt(self, send: Send) -> NoReturn:
        raise KeyboardInterrupt

    async def exit_in_task(self, send: Send) -> None:
        task = asyncio.create_task(self.exit(send))
        await asyncio.wait({task})
        await answer(send, b"survived")


async def answer(send: Send, body: bytes) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": body})


def admin(lifecycle: Lifecycle) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send, lifecycle.phase.encode())

    return app


@asynccontextmanager
async def resources(fault: str) -> AsyncIterator[None]:
    say("opening")
    match fault:
        case "unreachable":
            raise StartupError("The database cannot be reached.")
        case "bug":
            raise ZeroDivisionError
        case "timeout":
            raise TimeoutError
        case "waits":
            await asyncio.Event().wait()
    yield
    say("closing")
    if fault == "close":
        raise ZeroDivisionError


async def closer(behaviour: str) -> None:
    say("closer")
    if behaviour == "crashes":
        raise ZeroDivisionError
    if behaviour == "hangs":
        await asyncio.Event().wait()


def say(what: str) -> None:
    print(what, flush=True)  # noqa: T201 - the test reads it


def serve(options: Options) -> int:
    lifecycle = options.lifecycle
    server = Server(
        public=LastAnswers(InFlight(App(lifecycle), lifecycle), lifecycle),
        admin=admin(lifecycle),
        settings=ServerSettings(port=options.port, admin_port=0),
        shutdown=HastyShutdown(
            delay=options.delay,
            requests_timeout=options.requests_timeout,
            sockets_timeout=options.sockets_timeout,
            watchdog_after=options.watchdog_after,
        ),
        limits=Limits.of(HttpSettings(), SocketsSettings()),
        lifecycle=lifecycle,
        resources=resources(options.fault),
        closers=[lambda: closer(options.closer)],
    )
    return server.run(new_loop if options.loop == "uvloop" else asyncio.new_event_loop)


def line(record: "Record") -> str:
    return "{message} {extra}\n{exception}" if record["extra"] else "{message}\n{exception}"


if __name__ == "__main__":
    logger.remove()
    logger.add(sys.stdout, format=line, diagnose=False)
    sys.exit(serve(Options(**json.loads(sys.argv[1]))))

"""Keeps track of HTTP requests, so that a stopping server can end them properly."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from platform_api.errors import ShuttingDown, error_response
from platform_api.server.lifecycle import Lifecycle, current_task


class InFlight:
    """Pure ASGI middleware, to be placed outside everything that may be slow.

    A request that the drain cancels before its answer has started is answered 503 `shutting_down`.
    After the start the client sees a broken answer: there is no other way left to say that it is
    not whole.
    """

    def __init__(self, app: ASGIApp, lifecycle: Lifecycle) -> None:
        self._app = app
        self._lifecycle = lifecycle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with contained():
            if scope["type"] == "http":
                await self._track(scope, receive, send)
            else:
                await self._app(scope, receive, send)

    async def _track(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = _Answer(send)
        with self._lifecycle.request():
            try:
                await self._app(scope, receive, answer.send)
            except asyncio.CancelledError:
                if answer.started or not self._lifecycle.take_cancelled(current_task()):
                    raise
                await error_response(ShuttingDown())(scope, receive, send)


class _Answer:
    """Passes one answer on and remembers whether it has started."""

    __slots__ = ("_send", "started")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
        await self._send(message)


@contextmanager
def contained() -> Iterator[None]:
    """Turn what would end the event loop into an ordinary error.

    A handler that calls `sys.exit()` means its own request, never the whole server.
    """
    try:
        yield
    except (SystemExit, KeyboardInterrupt) as error:
        raise RuntimeError(f"A handler raised {type(error).__name__}.") from error

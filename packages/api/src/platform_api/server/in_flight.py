"""Keeps track of HTTP requests, so that a stopping server can end them properly."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from platform_api.server.lifecycle import Lifecycle, current_task

RETRY_AFTER_SECONDS = 1


class InFlight:
    """Pure ASGI middleware, to be placed outside everything that may be slow.

    A request that the drain cancels before its answer has started is answered 503 with `refusal`, a
    JSON body. After the start the client sees a broken answer: there is no other way left to say
    that it is not whole.
    """

    def __init__(self, app: ASGIApp, lifecycle: Lifecycle, *, refusal: bytes) -> None:
        self._app = app
        self._lifecycle = lifecycle
        self._refusal = refusal

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
                await self._refuse(send)

    async def _refuse(self, send: Send) -> None:
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(self._refusal)),
            (b"retry-after", b"%d" % RETRY_AFTER_SECONDS),
        ]
        await send({"type": "http.response.start", "status": 503, "headers": headers})
        await send({"type": "http.response.body", "body": self._refusal})


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

"""How large a request's body may be, how long it may take, and what becomes of an unread rest."""

import asyncio
from contextlib import suppress

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from platform_api.errors import BodyTimeout, PayloadTooLarge
from platform_api.server.last_answers import closing

MAX_BODY = "max_body"  # Where the scope says how large this request's body may be.
DRAIN_BYTES = 1024 * 1024
DRAIN_SECONDS = 2.0


class BodyCeiling:
    """Bounds a body's size and time, in bytes and in seconds from the request's arrival.

    Whoever reads past a bound gets `PayloadTooLarge` or `BodyTimeout`; `allow_body` replaces the
    size for one request. An answer that does not wait for the body's end says `connection: close`,
    and the rest is read and dropped for a moment: closing at once would reset the connection and
    take the answer from a client that is still sending (RFC 9112, 9.6).
    """

    def __init__(self, app: ASGIApp, *, max_bytes: int, timeout: float) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._timeout = timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _has_body(headers := Headers(scope=scope)):
            await self._app(scope, receive, send)
            return
        scope[MAX_BODY] = self._max_bytes
        until = asyncio.get_running_loop().time() + self._timeout
        # The HTTP parser has already refused a Content-Length that is not a number.
        length = int(headers.get("content-length", "0"))
        body = _Body(scope, receive, send, length=length, until=until)
        await self._app(scope, body.receive, body.send)
        await body.finish()


def allow_body(scope: Scope, max_bytes: int) -> None:
    """Let the body of one request be so large. To be called before it is read."""
    scope[MAX_BODY] = max_bytes


def _has_body(headers: Headers) -> bool:
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


class _Body:
    """One body on its way to the app, and the app's answer on its way back."""

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, *, length: int, until: float
    ) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._length = length
        self._until = until
        self._received = 0
        self._has_ended = False
        self._closes = False
        self._is_answered = False

    async def receive(self) -> Message:
        if self._has_ended:
            return await self._receive()  # Somebody waits for the client to leave.
        self._check(self._length)
        try:
            async with asyncio.timeout_at(self._until) as clock:
                message = await self._next()
        except TimeoutError as error:
            if not clock.expired():
                raise
            raise BodyTimeout from error
        self._check(self._received)
        return message

    def _check(self, size: int) -> None:
        max_bytes = self._scope[MAX_BODY]
        if size > max_bytes:
            raise PayloadTooLarge(max_bytes=max_bytes)

    async def _next(self) -> Message:
        message = await self._receive()
        self._received += len(message.get("body", b""))
        self._has_ended = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await self._drop(within=0)
            self._closes = not self._has_ended
            if self._closes:
                message = closing(message)
        elif self._closes and not message.get("more_body", False):
            # The server closes the connection after the last message, so that waits for `finish`.
            self._is_answered = True
            message = {**message, "more_body": True}
        await self._send(message)

    async def finish(self) -> None:
        """Close after an answer that did not wait for the body's end."""
        if self._is_answered:
            await self._drop(within=DRAIN_SECONDS)
            await self._send({"type": "http.response.body", "body": b""})

    async def _drop(self, *, within: float) -> None:
        """Drop what comes within so many seconds; with 0, what has come already."""
        enough = self._received + DRAIN_BYTES
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                while not self._has_ended and self._received < enough:
                    await self._next()

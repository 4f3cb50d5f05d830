"""Limits for request bodies: size, time, and how many may be in transfer at once."""

import asyncio
from contextlib import suppress

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from platform_api.errors import BodyTimeout, Overloaded, PayloadTooLarge, TooManyBodies
from platform_api.server.last_answers import closing
from platform_domain.errors import DomainError

MAX_BODY = "max_body"  # Where the scope says how large this request's body may be.
DRAIN_BYTES = 1024 * 1024
DRAIN_SECONDS = 2.0


class BodyCeiling:
    """Limits a body's size (bytes), its time (seconds from the request's arrival), and the number
    of bodies in transfer, in total and per client address.

    When a limit is exceeded, reading raises `PayloadTooLarge`, `BodyTimeout`, `TooManyBodies` or
    `Overloaded` in the handler. `allow_body` changes the size limit for one request. An answer that
    is sent before the end of the body has `connection: close`, and the rest of the body is read and
    dropped for a short time. Closing at once would reset the connection, and a client that is still
    sending would lose the answer (RFC 9112, 9.6).
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_bytes: int,
        timeout: float,
        max_bodies: int,
        max_bodies_per_client: int,
    ) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._timeout = timeout
        self._bodies = _Bodies(max_bodies, max_bodies_per_client)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _has_body(headers := Headers(scope=scope)):
            await self._app(scope, receive, send)
            return
        scope[MAX_BODY] = self._max_bytes
        until = asyncio.get_running_loop().time() + self._timeout
        # The HTTP parser has already refused a Content-Length that is not a number.
        length = int(headers.get("content-length", "0"))
        body = _Body(scope, receive, send, self._bodies, length=length, until=until)
        try:
            await self._app(scope, body.receive, body.send)
            await body.finish()
        finally:
            self._bodies.remove(body)


def allow_body(scope: Scope, max_bytes: int) -> None:
    """Allow `max_bytes` for the body of one request. Call this before the body is read."""
    scope[MAX_BODY] = max_bytes


def _has_body(headers: Headers) -> bool:
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


class _Bodies:
    """The bodies that are being read. Above a limit, a new one replaces the oldest.

    A normal body takes milliseconds, so the oldest bodies are the slow ones. If the new body were
    refused instead, slow clients could lock out all other clients at their address.
    """

    def __init__(self, max_bodies: int, max_per_client: int) -> None:
        self._max = max_bodies
        self._max_per_client = max_per_client
        self._all: dict[_Body, None] = {}  # Oldest first, also for each client.
        self._by_client: dict[str, dict[_Body, None]] = {}

    def add(self, body: "_Body") -> None:
        """Count the body unless it is already counted."""
        of_client = self._by_client.setdefault(body.client, {})
        of_client[body] = self._all[body] = None
        if len(of_client) > self._max_per_client:
            self._refuse(next(iter(of_client)), TooManyBodies)
        elif len(self._all) > self._max:
            self._refuse(next(iter(self._all)), Overloaded)

    def remove(self, body: "_Body") -> None:
        if body not in self._all:
            return
        del self._all[body]
        of_client = self._by_client[body.client]
        del of_client[body]
        if not of_client:
            del self._by_client[body.client]

    def _refuse(self, body: "_Body", error: type[DomainError]) -> None:
        self.remove(body)
        body.refuse(error)


class _Body:
    """One body on its way to the app, and the app's answer on its way back."""

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        bodies: _Bodies,
        *,
        length: int,
        until: float,
    ) -> None:
        client = scope.get("client")
        self.client: str = client[0] if client else ""
        self._scope = scope
        self._receive = receive
        self._send = send
        self._bodies = bodies
        self._length = length
        self._until = until
        self._received = 0
        self._clock: asyncio.Timeout | None = None
        self._refusal: type[DomainError] | None = None
        self._has_ended = False
        self._closes = False
        self._is_answered = False

    async def receive(self) -> Message:
        if self._has_ended:
            return await self._receive()  # The app waits for the client to disconnect.
        if self._refusal is not None:
            raise self._refusal
        self._check(self._length)
        self._bodies.add(self)
        try:
            async with asyncio.timeout_at(self._until) as clock:
                self._clock = clock
                message = await self._next()
        except TimeoutError as error:
            if not clock.expired():
                raise
            raise (self._refusal or BodyTimeout) from error
        finally:
            self._clock = None
        self._check(self._received)
        return message

    def refuse(self, error: type[DomainError]) -> None:
        """Raise `error` in the app, where it waits for the body now or next time."""
        self._refusal = error
        if self._clock is not None:
            self._clock.reschedule(0)

    def _check(self, size: int) -> None:
        max_bytes = self._scope[MAX_BODY]
        if size > max_bytes:
            raise PayloadTooLarge(max_bytes=max_bytes)

    async def _next(self) -> Message:
        message = await self._receive()
        self._received += len(message.get("body", b""))
        self._has_ended = not message.get("more_body", False)
        if self._has_ended:
            self._bodies.remove(self)
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
        """Drop data that arrives within `within` seconds; with 0, only data already received."""
        enough = self._received + DRAIN_BYTES
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                while not self._has_ended and self._received < enough:
                    await self._next()

"""How long the server may work on one request."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from platform_api.errors import DeadlineExceeded

CLOCK = "deadline"  # Where the scope has the `asyncio.Timeout` of this request.


class Deadline:
    """Cancels what is not answered within `seconds` and raises `DeadlineExceeded`.

    `allow_time` replaces the seconds for one request. Only our own work counts: the clock stands
    still while the client's body is awaited, which has a bound of its own, and stops when the
    answer starts, for the client may read that as slowly as the server lets it. WebSockets last.
    """

    def __init__(self, app: ASGIApp, *, seconds: float) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(self._seconds) as clock:
                scope[CLOCK] = clock
                timed = _Timed(clock, receive, send)
                await self._app(scope, timed.receive, timed.send)
        except TimeoutError as error:
            if not clock.expired():
                raise
            raise DeadlineExceeded from error


def allow_time(scope: Scope, seconds: float) -> None:
    """Let the server work on one request for so long from now on."""
    clock: asyncio.Timeout = scope[CLOCK]
    clock.reschedule(asyncio.get_running_loop().time() + seconds)


class _Timed:
    """Passes messages on and stops the clock where nobody waits for us."""

    __slots__ = ("_clock", "_receive", "_send")

    def __init__(self, clock: asyncio.Timeout, receive: Receive, send: Send) -> None:
        self._clock = clock
        self._receive = receive
        self._send = send

    async def receive(self) -> Message:
        when, began = self._clock.when(), asyncio.get_running_loop().time()
        self._set(None)
        message = await self._receive()
        if when is not None:
            self._set(when + asyncio.get_running_loop().time() - began)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._set(None)
        await self._send(message)

    def _set(self, when: float | None) -> None:
        # After the deadline, the app may still read and send while it shuts down.
        if not self._clock.expired():
            self._clock.reschedule(when)

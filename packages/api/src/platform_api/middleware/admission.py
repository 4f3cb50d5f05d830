"""Refuses requests above the capacity before they cost much."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from platform_api.capacity import Capacity, Place
from platform_api.errors import Overloaded, error_response
from platform_api.middleware.request_log import leave_out_of_log


class Admission:
    """Answers 503 `overloaded` at once while the server is overloaded; the connection stays open.

    A request holds a place while the server works on it. It holds none while the server waits for
    the client to send the body or to read the end of the answer. Otherwise slow clients could hold
    all places. Most requests are refused before they are parsed, see `LoadShedding`.
    """

    def __init__(self, app: ASGIApp, capacity: Capacity) -> None:
        self._app = app
        self._capacity = capacity

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif self._capacity.has_room():
            with self._capacity.taken() as place:
                admitted = _Admitted(place, scope, receive, send)
                await self._app(scope, admitted.receive, admitted.send)
        else:
            self._capacity.refuse()
            leave_out_of_log(scope)
            await error_response(Overloaded())(scope, receive, send)


class _Admitted:
    """Passes messages on and frees the place while it waits for the client."""

    __slots__ = ("_has_body", "_place", "_receive", "_scope", "_send")

    def __init__(self, place: Place, scope: Scope, receive: Receive, send: Send) -> None:
        self._place = place
        self._scope = scope
        self._receive = receive
        self._send = send
        self._has_body = True

    async def receive(self) -> Message:
        """Raises `Overloaded` if no place is free after the next part of the body arrives."""
        if not self._has_body:
            return await self._receive()
        self._place.leave()
        message = await self._receive()
        self._has_body = message.get("more_body", False)
        if not self._place.take_again():
            leave_out_of_log(self._scope)
            raise Overloaded
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self._place.leave()
        await self._send(message)

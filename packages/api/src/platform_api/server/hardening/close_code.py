"""Why a WebSocket ended, for the peer and for the app."""

from collections.abc import Awaitable, Callable, Generator
from functools import partial
from typing import cast

from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.events import Request
from hypercorn.protocol.ws_stream import WSStream
from hypercorn.typing import ASGIReceiveEvent, WebsocketDisconnectEvent
from wsproto.connection import Connection, ConnectionState
from wsproto.events import CloseConnection, Event

Put = Callable[[ASGIReceiveEvent], Awaitable[None]]


class RememberingConnection(Connection):
    """Remembers the first close frame, whoever sent it.

    A frame that breaks the protocol counts as a close by the peer, so that it is answered with the
    code of what is wrong (RFC 6455, 7.1.7) before the connection ends.
    """

    close: CloseConnection | None = None

    def send(self, event: Event) -> bytes:
        if isinstance(event, CloseConnection):
            self.close = self.close or event
        return super().send(event)

    def events(self) -> Generator[Event, None, None]:
        for event in super().events():
            if isinstance(event, CloseConnection):
                self.close = self.close or event
                if self._state is ConnectionState.OPEN:
                    self._state = ConnectionState.REMOTE_CLOSING
            yield event


class ToldCloseCode(WSStream):
    """Gives the app the code and the reason of the close frame that ended its socket.

    Removes: the app was told 1006, or 1000 when it had closed itself, whatever the client said
    (pgjones/hypercorn#127).
    """

    async def handle(self, event: StreamEvent) -> None:
        await super().handle(event)
        if isinstance(event, Request) and self.app_put is not None:
            self.app_put = partial(self._put, self.app_put)

    async def _put(self, put: Put, message: ASGIReceiveEvent) -> None:
        if message["type"] == "websocket.disconnect" and (close := self._close_frame()):
            told = {**message, "code": int(close.code), "reason": close.reason}
            message = cast(WebsocketDisconnectEvent, told)
        await put(message)

    def _close_frame(self) -> CloseConnection | None:
        connection = getattr(self, "connection", None)
        return connection.close if isinstance(connection, RememberingConnection) else None

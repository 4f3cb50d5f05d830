"""Why a WebSocket ended, for the peer and for the app."""

import asyncio
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
    code of what is wrong (RFC 6455, 7.1.7) before the connection ends. It is kept as `fault` until
    the events are asked for again.
    """

    close: CloseConnection | None = None
    fault: CloseConnection | None = None

    def send(self, event: Event) -> bytes:
        if isinstance(event, CloseConnection):
            self.close = self.close or event
        return super().send(event)

    def events(self) -> Generator[Event, None, None]:
        if self.fault is not None:
            yield self._failed(self.fault)
            return
        for event in super().events():
            if isinstance(event, CloseConnection):
                if self._state is ConnectionState.OPEN:
                    self.fault = event
                    return
                self.close = self.close or event
            yield event

    def _failed(self, fault: CloseConnection) -> CloseConnection:
        self.close = self.close or fault
        if self._state is ConnectionState.OPEN:
            self._state = ConnectionState.REMOTE_CLOSING
        return fault


class ToldCloseCode(WSStream):
    """Gives the app the code and the reason of the close frame that ended its socket.

    Removes: the app was told 1006, or 1000 when it had closed itself, whatever the client said
    (pgjones/hypercorn#127); its answers to messages that came with a broken frame were dropped.
    """

    async def handle(self, event: StreamEvent) -> None:
        await super().handle(event)
        if isinstance(event, Request) and self.app_put is not None:
            self.app_put = partial(self._put, self.app_put)

    async def _handle_events(self) -> None:
        await super()._handle_events()
        connection = self.connection
        if isinstance(connection, RememberingConnection) and connection.fault and not self.closed:
            await asyncio.sleep(0)  # The app's turn.
            await super()._handle_events()

    async def _put(self, put: Put, message: ASGIReceiveEvent) -> None:
        if message["type"] == "websocket.disconnect" and (close := self._close_frame()):
            told = {**message, "code": int(close.code), "reason": close.reason}
            message = cast(WebsocketDisconnectEvent, told)
        await put(message)

    def _close_frame(self) -> CloseConnection | None:
        connection = getattr(self, "connection", None)
        return connection.close if isinstance(connection, RememberingConnection) else None

"""An upgrade that is refused leaves nothing behind."""

import re

from hypercorn.protocol.events import Body, Data, EndBody, Event, Request, Response, StreamClosed
from hypercorn.protocol.ws_stream import ASGIWebsocketState, Handshake, WSStream
from wsproto.handshake import WEBSOCKET_VERSION

# 16 bytes in base64 (RFC 6455, 4.2.1).
_KEY = re.compile(rb"[A-Za-z0-9+/]{21}[AQgw]==")
_OTHER_VERSION = [
    (b"sec-websocket-version", WEBSOCKET_VERSION),
    (b"upgrade", b"websocket"),
    (b"connection", b"upgrade, close"),
    (b"content-length", b"0"),
]


class StrictHandshake(Handshake):
    """Refuses a key that is none, where Hypercorn takes any text, and ignores fields not in ASCII.

    Removes: one byte above 127 in a field of the handshake was a traceback and no answer.
    """

    def __init__(self, headers: list[tuple[bytes, bytes]], http_version: str) -> None:
        super().__init__([field for field in headers if field[1].isascii()], http_version)

    def is_valid(self) -> bool:
        return super().is_valid() and _KEY.fullmatch(self.key or b"") is not None


class CleanRefusal(WSStream):
    """Closes the connection after a refusal, and says 426 to a version we do not speak.

    Removes: a refused upgrade kept its connection for ever (200 of 200 were still open after 12
    s); after bytes that came before the answer the app was started and never told of the end
    (pgjones/hypercorn#225); a wrong version was answered 400, not 426 (RFC 6455, 4.4).
    """

    async def handle(self, event: Event) -> None:
        if isinstance(event, Body | Data) and not self.handshake.accepted:
            await self._refuse_early_data()
            return
        await super().handle(event)
        if isinstance(event, Request) and self.closed:
            await self.send(StreamClosed(stream_id=self.stream_id))

    async def _refuse_early_data(self) -> None:
        if self.closed or self.state is not ASGIWebsocketState.HANDSHAKE:
            return
        self.closed = True
        await self._send_error_response(400)
        if self.app_put is not None:
            await self.app_put({"type": "websocket.disconnect", "code": 1006, "reason": None})
        await self.send(StreamClosed(stream_id=self.stream_id))

    async def _send_error_response(self, status_code: int) -> None:
        if status_code != 400 or self.handshake.version in (None, WEBSOCKET_VERSION):
            await super()._send_error_response(status_code)
            return
        await self.send(Response(self.stream_id, headers=_OTHER_VERSION, status_code=426))
        await self.send(EndBody(self.stream_id))

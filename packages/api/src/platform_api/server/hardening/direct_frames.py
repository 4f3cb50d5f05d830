"""A way past the queues for frames that many sockets get alike."""

import asyncio
from typing import TYPE_CHECKING, Any

from hypercorn.protocol.events import Event, Request
from hypercorn.protocol.ws_stream import ASGIWebsocketState, WSStream

if TYPE_CHECKING:
    from platform_api.server.hardening.limits import HardenedConfig

EXTENSION = "platform.direct_frames"
"""The ASGI extension's name in `scope["extensions"]`; its `write` is `DirectFrames.write_frame`."""
MAX_BUFFERED_BYTES = 65_536


class DirectFrames(WSStream):
    """Takes a whole WebSocket frame and writes it at once, if the peer keeps up.

    Removes: a broadcast was encoded, framed, locked and awaited once for each socket, which held
    it at less than half of what other servers deliver. Where this class is missing, the session
    finds no extension and sends in the ordinary way.
    """

    config: "HardenedConfig"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._transport = self._found_transport()

    async def handle(self, event: Event) -> None:
        await super().handle(event)
        if isinstance(event, Request) and not self.closed:
            # The app runs from the next turn of the loop on, so it never sees a scope without.
            self.scope["extensions"][EXTENSION] = {"write": self.write_frame}

    def write_frame(self, frame: bytes) -> bool:
        """Write a complete, unmasked frame (RFC 6455, 5.2), or return False: the socket is not
        open, or what was written before still waits and the ordinary way has to be taken."""
        transport = self._transport
        if (
            transport is None
            or self.closed
            or self.state is not ASGIWebsocketState.CONNECTED
            or transport.is_closing()
            or transport.get_write_buffer_size() > MAX_BUFFERED_BYTES
        ):
            return False
        transport.write(frame)
        return True

    def _found_transport(self) -> asyncio.WriteTransport | None:
        # `send` is bound to the HTTP/1.1 protocol, and that one's to the connection.
        protocol = getattr(self.send, "__self__", None)
        connection = getattr(getattr(protocol, "send", None), "__self__", None)
        writer: asyncio.StreamWriter | None = getattr(connection, "writer", None)
        return writer.transport if writer is not None else None

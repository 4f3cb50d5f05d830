"""Nothing is read out of a connection that has ended."""

from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.events import Closed, Event, RawData
from hypercorn.protocol.h11 import H11Protocol

from platform_api.server.hardening.strict_http import StrictConnection


class SilentAfterEnd(H11Protocol):
    """Drops unparsed what comes after our side has decided to close, and tells the app at once.

    Removes: bytes that had already come were parsed on, so a request behind a refused one was
    still run, or waited for ever for a turn that did not come and kept the connection's task.
    """

    _has_ended = False

    async def handle(self, event: Event) -> None:
        if not (self._has_ended and isinstance(event, RawData)):
            await super().handle(event)

    async def end(self) -> None:
        """Be deaf from now on."""
        self._has_ended = True
        if isinstance(self.connection, StrictConnection):
            self.connection.discard()
        await self._close_stream()


class ToldEnd(TCPServer):
    """Tells `SilentAfterEnd` when our side has decided to close."""

    async def protocol_send(self, event: Event) -> None:
        if isinstance(event, Closed) and isinstance(self.protocol.protocol, SilentAfterEnd):
            await self.protocol.protocol.end()
        await super().protocol_send(event)

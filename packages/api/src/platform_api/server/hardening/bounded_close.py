"""The end of a connection, in a bounded time and without losing the last answer."""

import asyncio
from contextlib import suppress

from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.events import Closed, Event, Updated

LINGER_SECONDS = 0.8


class BoundedClose(TCPServer):
    """Ends our half first, and drops what still comes until the peer ends its half or time is up.

    A close with unread bytes is a reset, which takes the answer away from a peer that is still
    sending (RFC 9112, 9.6).

    Removes: closing waited without end for a peer that does not read, and so did the shutdown;
    errors of a closed socket became tracebacks (pgjones/hypercorn#361); a peer's close of an idle
    connection was taken up only when the keep-alive time had passed.
    """

    _cutting: asyncio.TimerHandle | None = None

    async def protocol_send(self, event: Event) -> None:
        if isinstance(event, Closed):
            await self._finish()
        elif not (self.reader.at_eof() and isinstance(event, Updated)):
            await super().protocol_send(event)

    async def _finish(self) -> None:
        self._end_our_half()
        if self._cutting is None:
            self._cut_later()
        await self.idle_task.stop()

    def _end_our_half(self) -> None:
        with suppress(OSError, RuntimeError):  # It has ended already.
            self.writer.write_eof()

    def _cut_later(self) -> None:
        self._cutting = self.loop.call_later(LINGER_SECONDS, self._cut)

    def _cut(self) -> None:
        # A slow reader gets the rest of its answer; one that takes nothing has the send deadline.
        if self.writer.transport.get_write_buffer_size():
            self._cut_later()
        else:
            self.writer.transport.abort()

    async def _read_data(self) -> None:
        await super()._read_data()
        await self.idle_task.stop()

    async def _close(self) -> None:
        try:
            await self._flush()
        finally:
            if self._cutting is not None:
                self._cutting.cancel()
            self.writer.transport.abort()
            await self.idle_task.stop()

    async def _flush(self) -> None:
        self._end_our_half()
        with suppress(OSError, RuntimeError):
            self.writer.transport.set_write_buffer_limits(0)
            await self.writer.drain()

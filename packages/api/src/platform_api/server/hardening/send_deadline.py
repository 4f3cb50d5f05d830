"""The end of a peer that no longer reads."""

import asyncio
from typing import Any

from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.events import Closed, Event, RawData

from platform_api.server.hardening.limits import HardenedConfig

LOOKS = 10  # How often in the time-out the progress is looked at.


class SendDeadline(TCPServer):
    """Aborts a connection whose peer takes no byte for `send_timeout`, however slow it may be.

    Removes: a send had no deadline, so a peer that never reads kept its handler, its buffers and
    every other sender for ever; writing to a connection that is gone went on, which asyncio logs.
    """

    config: HardenedConfig

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Here, because an attribute that is new to an instance later on makes its dict 800 bytes.
        self._next_look: asyncio.TimerHandle | None = None
        self._progress = (0, 0)
        self._progress_at = 0.0
        self._sent = 0

    async def protocol_send(self, event: Event) -> None:
        if not isinstance(event, RawData):
            await super().protocol_send(event)
        elif self.writer.is_closing():
            await self.protocol.handle(Closed())
            await asyncio.sleep(0)  # Or a handler that sends in a loop would stop all others.
        else:
            self._watch()
            await super().protocol_send(event)
            self._sent += 1

    async def _close(self) -> None:
        try:
            await super()._close()
        finally:
            if self._next_look is not None:
                self._next_look.cancel()

    def _watch(self) -> None:
        if self._next_look is None:
            self._progress_at = self.loop.time()
            self._look_later()

    def _look_later(self) -> None:
        self._next_look = self.loop.call_later(self.config.limits.send_timeout / LOOKS, self._look)

    def _look(self) -> None:
        waiting = self.writer.transport.get_write_buffer_size()
        if not waiting:
            self._next_look = None
            return
        # Finished sends count too: the buffer may be as full as before with other bytes.
        progress = (self._sent, waiting)
        if progress != self._progress:
            self._progress, self._progress_at = progress, self.loop.time()
        # What is seen at one look may have happened right after the one before.
        if self.loop.time() - self._progress_at >= self.config.limits.send_timeout * (
            1 - 1 / LOOKS
        ):
            self.writer.transport.abort()
        else:
            self._look_later()

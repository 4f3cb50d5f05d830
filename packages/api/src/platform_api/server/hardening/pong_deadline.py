"""A WebSocket peer that is gone without a word is noticed."""

import asyncio
from contextlib import suppress

from hypercorn.protocol.events import Data, Event, StreamClosed
from hypercorn.protocol.ws_stream import WSStream
from wsproto.events import CloseConnection
from wsproto.frame_protocol import CloseReason

from platform_api.server.hardening.limits import HardenedConfig

FAREWELL_SECONDS = 0.2


class PongDeadline(WSStream):
    """Ends a socket from which no byte has come for `pong_timeout`, with an attempt at 1011.

    A handler that leaves its queue full for so long ends its socket too: nothing is read meanwhile.

    Removes: pings were sent, but nobody looked for pongs; and the task that sends them outlived
    its socket by up to an interval, which delayed every stop.
    """

    config: HardenedConfig
    _heard_at = 0.0
    _deadline: asyncio.TimerHandle | None = None
    _pinging: asyncio.Task[object] | None = None

    async def handle(self, event: Event) -> None:
        if isinstance(event, Data):
            self._heard_at = self.context.time()
        elif isinstance(event, StreamClosed):
            self._stop_watching()
        await super().handle(event)

    async def _send_pings(self) -> None:
        if self.closed:
            return
        self._pinging = asyncio.current_task()
        self._heard_at = self.context.time()
        self._watch()
        await super()._send_pings()

    def _watch(self) -> None:
        due = self._heard_at + self.config.limits.pong_timeout
        if self.context.time() >= due:
            self.task_group.spawn(self._give_up)
        else:
            self._deadline = asyncio.get_running_loop().call_at(due, self._watch)

    async def _give_up(self) -> None:
        farewell = CloseConnection(code=CloseReason.INTERNAL_ERROR, reason="ping timeout")
        with suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_SECONDS):
                await self._send_wsproto_event(farewell)
        await self.send(StreamClosed(stream_id=self.stream_id))

    def _stop_watching(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        if self._pinging is not None:
            self._pinging.cancel()

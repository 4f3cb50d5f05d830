"""A WebSocket peer that is gone without a word is noticed."""

import asyncio
from contextlib import suppress
from typing import Any

from hypercorn.protocol.events import Data, Event, StreamClosed
from wsproto.events import CloseConnection, Ping

from platform_api.server.hardening.direct_frames import DirectFrames
from platform_api.server.hardening.limits import HardenedConfig

FAREWELL_SECONDS = 0.2
HEARTBEAT_LOST = 4408  # 4000-4999 are for applications (RFC 6455, 7.4.2).
PING = b"\x89\x00"  # A whole frame (RFC 6455, 5.2).


class PongDeadline(DirectFrames):
    """Ends a socket from which no byte has come for `pong_timeout`, with an attempt at 4408.

    A handler that leaves its queue full for so long ends its socket too: nothing is read meanwhile.

    Removes: pings were sent, but nobody looked for pongs; and the task that sends them outlived
    its socket by up to an interval, which delayed every stop. A timer takes less than a task, too.
    """

    config: HardenedConfig

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Here, because an attribute that is new to an instance later on makes its dict 800 bytes.
        self._heard_at = self._pinged_at = 0.0
        self._next_look: asyncio.TimerHandle | None = None

    async def handle(self, event: Event) -> None:
        if isinstance(event, Data):
            self._heard_at = self.context.time()
        elif isinstance(event, StreamClosed) and self._next_look is not None:
            self._next_look.cancel()
        await super().handle(event)

    async def _send_pings(self) -> None:
        if not self.closed:
            self._heard_at = self._pinged_at = self.context.time()
            self._look()

    def _look(self) -> None:
        limits, now = self.config.limits, self.context.time()
        if now >= self._heard_at + limits.pong_timeout:
            self.task_group.spawn(self.give_up, HEARTBEAT_LOST, "heartbeat lost")
            return
        if now >= self._pinged_at + limits.ping_interval:
            self._pinged_at = now
            self._ping()
        due = min(self._heard_at + limits.pong_timeout, self._pinged_at + limits.ping_interval)
        self._next_look = asyncio.get_running_loop().call_at(due, self._look)

    def _ping(self) -> None:
        # Where it cannot be written at once, it waits its turn: the peer may be slow, not dead.
        if not self.write_frame(PING):
            self.task_group.spawn(self._send_wsproto_event, Ping())

    async def give_up(self, code: int, reason: str) -> None:
        """End the socket and try to send a close frame: the peer may not be reading."""
        farewell = CloseConnection(code=code, reason=reason)
        with suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_SECONDS):
                await self._send_wsproto_event(farewell)
        await self.send(StreamClosed(stream_id=self.stream_id))

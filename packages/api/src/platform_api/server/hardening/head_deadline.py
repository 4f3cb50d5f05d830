"""A deadline for the head of a request."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.events import Event, RawData, Updated
from hypercorn.protocol.h11 import H11Protocol

from platform_api.server.hardening.limits import HardenedConfig
from platform_api.server.hardening.strict_http import StrictConnection

LATE_SECONDS = 0.2  # What a request that was sent before a stop may take to arrive.


@dataclass(frozen=True)
class HeadBegun(Event):
    """The first bytes of a request have come, and more must follow."""


class NoticedHead(H11Protocol):
    """Tells the connection when a head has begun."""

    async def handle(self, event: Event) -> None:
        await super().handle(event)
        if isinstance(event, RawData) and self._has_begun_a_head():
            await self.send(HeadBegun())

    def _has_begun_a_head(self) -> bool:
        parser = self.connection
        return isinstance(parser, StrictConnection) and parser.has_begun_a_head


class HeadDeadline(TCPServer):
    """Gives a head its own time, from the connect or, after another request, its first byte.

    Removes: the keep-alive time-out was also the deadline of the head, so a long one (behind a
    load balancer) was an invitation to slow senders, and a short one cut a request off whose first
    bytes had just come (pgjones/hypercorn#235); a stop closed idle connections in the same moment,
    also those with a request on the way, which then got no answer.
    """

    config: HardenedConfig
    _awaits_head = True
    _idle_since = 0.0

    async def protocol_send(self, event: Event) -> None:
        if isinstance(event, HeadBegun):
            await self._expect_head()
        else:
            if isinstance(event, Updated):
                self._awaits_head = False
            await super().protocol_send(event)

    async def _expect_head(self) -> None:
        if not self._awaits_head:
            self._awaits_head = True
            await self.idle_task.restart(self._task_group, self._idle_timeout)

    def stays_idle(self) -> None:
        """Start the keep-alive time again after an answer of which Hypercorn knows nothing.

        The timer is left as it is and looks at this when it fires: many such answers come at once.
        """
        self._awaits_head = False
        self._idle_since = self.loop.time()

    async def _idle_timeout(self) -> None:
        self._idle_since = self.loop.time()
        while (left := self._idle_seconds_left()) > 0:
            with suppress(TimeoutError):
                # Not longer than the time that an answer meanwhile would start.
                async with asyncio.timeout(min(left, self.config.limits.keep_alive_timeout)):
                    await self.context.terminated.wait()
                await asyncio.sleep(LATE_SECONDS)
                break
        await asyncio.shield(self._initiate_server_close())

    def _idle_seconds_left(self) -> float:
        limits = self.config.limits
        timeout = limits.head_timeout if self._awaits_head else limits.keep_alive_timeout
        return self._idle_since + timeout - self.loop.time()

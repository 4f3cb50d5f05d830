"""Limits how many WebSocket frames a peer may send, and how many are handled at a time."""

import asyncio
from collections.abc import Generator
from typing import Any

from wsproto.connection import Connection
from wsproto.events import Event, Message

from platform_api.rate import Rate
from platform_api.server.hardening.pong_deadline import PongDeadline

TOO_MANY_FRAMES = 4429  # 4000-4999 are for applications (RFC 6455, 7.4.2).
FRAMES_A_TURN = 128  # A frame takes about 10 microseconds.
FRAMES_PER_MESSAGE = 16  # On average; more for the largest message, see `FrameRate`.
FRAGMENT_BYTES = 64


class SlicedConnection(Connection):
    """Yields the events of at most `FRAMES_A_TURN` frames per call.

    `has_more` says whether there may be more frames. `cost` is the total cost of the frames that
    were yielded: a frame with data costs 1; one without data costs as much as a whole message.
    """

    cost = 0
    has_more = False

    def events(self) -> Generator[Event, None, None]:
        self.has_more = False
        for number, event in enumerate(super().events(), 1):
            self.cost += _cost(event)
            self.has_more = number == FRAMES_A_TURN
            yield event
            if self.has_more:
                return


class FrameRate(PongDeadline):
    """Closes a socket with 4429 when frames arrive too fast, and drops later data unparsed.

    A peer may send `FRAMES_PER_MESSAGE` times as many frames as messages. A burst may have as many
    frames as the largest message has fragments of `FRAGMENT_BYTES`. Pings, pongs and empty frames
    count like messages.

    Removes: only whole messages were limited, so a peer that sent 2 MiB/s of pings, pongs, empty
    or one-byte frames used a whole CPU core. 64 KiB has 10,000 of them, and all were handled before
    anything else.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        limits = self.config.limits
        self._frames = Rate(
            FRAMES_PER_MESSAGE * limits.messages_per_second,
            self.context.time,
            burst=limits.message_bytes / FRAGMENT_BYTES,
        )

    async def _handle_events(self) -> None:
        while not self.closed:
            await super()._handle_events()
            if not await self._goes_on():
                return
            await asyncio.sleep(0)

    async def _goes_on(self) -> bool:
        """Pay for the frames that were handled, and return whether there may be more."""
        connection = self.connection
        if self.closed or not isinstance(connection, SlicedConnection):
            return False
        cost, connection.cost = connection.cost, 0
        if self._frames.allows(cost):
            return connection.has_more
        await self.give_up(TOO_MANY_FRAMES, "too many frames")
        return False


def _cost(event: Event) -> int:
    if not isinstance(event, Message):
        return FRAMES_PER_MESSAGE
    if not event.frame_finished:  # Part of a frame that arrived in several pieces.
        return 0
    return 1 if event.data else FRAMES_PER_MESSAGE

"""A WebSocket that we close is closed, also when the peer does not answer."""

import asyncio

from hypercorn.protocol.events import Event, StreamClosed
from hypercorn.protocol.ws_stream import ASGIWebsocketState, WSStream
from hypercorn.typing import ASGISendEvent

ANSWER_SECONDS = 2.0
ENDED = (ASGIWebsocketState.CLOSED, ASGIWebsocketState.HTTPCLOSED)


class CloseDeadline(WSStream):
    """Waits a moment for the peer's close frame, then ends the connection.

    Removes: an app that closes or refuses and then waits for the disconnect, as it should, waited
    without end for a peer that goes on sending or says nothing.
    """

    _answer_due: asyncio.TimerHandle | None = None

    async def app_send(self, message: ASGISendEvent | None) -> None:
        await super().app_send(message)
        if self.state in ENDED and not self.closed:
            self._expect_answer()

    async def handle(self, event: Event) -> None:
        if isinstance(event, StreamClosed) and self._answer_due is not None:
            self._answer_due.cancel()
        await super().handle(event)

    def _expect_answer(self) -> None:
        if self._answer_due is None:
            loop = asyncio.get_running_loop()
            self._answer_due = loop.call_later(
                ANSWER_SECONDS, self.task_group.spawn, self.send, StreamClosed(self.stream_id)
            )

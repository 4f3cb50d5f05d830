"""Sending on a WebSocket that is over harms nobody else."""

import asyncio

from hypercorn.protocol.ws_stream import WSStream
from hypercorn.typing import ASGISendEvent
from wsproto.connection import ConnectionState


class HarmlessSend(WSStream):
    """Gives way to the other tasks at every message that will be dropped.

    Removes: what an app sends after the end is dropped without ever waiting, so one task that sends
    in a loop stopped the whole server.
    """

    async def app_send(self, message: ASGISendEvent | None) -> None:
        if message is not None and self._is_over():
            await asyncio.sleep(0)
        await super().app_send(message)

    def _is_over(self) -> bool:
        connection = getattr(self, "connection", None)
        return self.closed or (
            connection is not None and connection.state is not ConnectionState.OPEN
        )

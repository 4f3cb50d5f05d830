"""The connection to Valkey that events come in by: it asks for the channels wanted here."""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from valkey import exceptions
from valkey.asyncio import Connection

from platform_infrastructure.events.valkey_client import TIMEOUT_SECONDS, ValkeyClient

QUIET_SECONDS = 5.0
"""After so long without a word we ask whether the server is still there."""


class ValkeySubscriber:
    """Works on the connection that is open now. Without one, its methods raise the client's
    `ConnectionError`, as they do when it is lost."""

    def __init__(self, client: ValkeyClient) -> None:
        self._client = client
        self._connection: Connection | None = None
        # The server confirms in order, so the first of a channel is the one that is confirmed.
        self._unconfirmed: defaultdict[str, deque[asyncio.Future[None]]] = defaultdict(deque)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        async with self._client.connection() as connection:
            self._connection = connection
            try:
                yield
            finally:
                self._connection = None
                self._unconfirmed.clear()

    async def subscribe(self, channel: str) -> None:
        """Return when the server has confirmed, which `next` hears; when the connection is lost
        before, never."""
        (confirmed,) = await self.ask_for([channel])
        await confirmed

    async def ask_for(self, channels: Sequence[str]) -> list[asyncio.Future[None]]:
        """Subscribe without waiting; each future ends when its channel was confirmed."""
        self._require_connection()
        loop = asyncio.get_running_loop()
        asked = [loop.create_future() for _ in channels]
        for channel, confirmed in zip(channels, asked, strict=True):
            self._unconfirmed[channel].append(confirmed)
        if channels:
            await self._send("SUBSCRIBE", *channels)
        return asked

    async def unsubscribe(self, channel: str) -> None:
        await self._send("UNSUBSCRIBE", channel)

    async def next(self) -> tuple[str, bytes | None]:
        """Wait for the next message: its channel and data. Data None confirms the channel: from
        here on nothing is missed."""
        while True:
            match await self._reply():
                case [b"message", channel, data]:
                    return channel.decode(), data
                case [b"subscribe", channel, _]:
                    self._confirm(channel.decode())
                    return channel.decode(), None

    async def _reply(self) -> Any:
        connection = self._require_connection()
        reply = await connection.read_response(timeout=QUIET_SECONDS)
        if reply is None:
            # A server that vanished without a word would be waited for until TCP gives up.
            await self._send("PING")
            reply = await connection.read_response(timeout=TIMEOUT_SECONDS)
        if reply is None:
            raise exceptions.TimeoutError("the server is silent")
        return reply

    async def _send(self, *command: str) -> None:
        connection = self._require_connection()
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await connection.send_command(*command)

    def _require_connection(self) -> Connection:
        # The client would silently connect anew, and nobody would ask for the channels again.
        if self._connection is None or not self._connection.is_connected:
            raise exceptions.ConnectionError("there is no connection")
        return self._connection

    def _confirm(self, channel: str) -> None:
        waiting = self._unconfirmed[channel]
        confirmed = waiting.popleft()
        if not confirmed.done():  # Whoever asked may not have waited.
            confirmed.set_result(None)
        if not waiting:
            del self._unconfirmed[channel]

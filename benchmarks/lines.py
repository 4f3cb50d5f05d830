"""WebSockets that are told one by one, and that may break."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

import orjson

from benchmarks.web_socket import WebSocket

CONNECTING_AT_A_TIME = 64

Received = Callable[[int, bytes], None]
"""Gets the number of the line it came on, and the message."""


class Lines:
    """One socket for each user. It may be reset, and comes back at once."""

    def __init__(self, port: int, users: Sequence[str], received: Received) -> None:
        self._port = port
        self._users = users
        self._received = received
        self._sockets: dict[int, WebSocket] = {}

    def __len__(self) -> int:
        return len(self._users)

    async def open(self) -> None:
        turns = asyncio.Semaphore(CONNECTING_AT_A_TIME)

        async def open_one(line: int) -> None:
            async with turns:
                await self._open(line)

        await asyncio.gather(*map(open_one, range(len(self))))

    def tell(self, line: int, **message: str) -> bool:
        """Send a message; return False for a line that is on its way back."""
        socket = self._sockets.get(line)
        if socket is not None:
            socket.tell(orjson.dumps(message))
        return socket is not None

    async def reset(self, line: int) -> None:
        """End the socket by an RST, and open another."""
        socket = self._sockets.pop(line, None)
        if socket is not None:
            socket.reset()
            await self._open(line)

    async def leave(self) -> None:
        await asyncio.gather(*(socket.leave() for socket in self._sockets.values()))

    async def _open(self, line: int) -> None:
        path = f"/api/v1/ws?user={self._users[line]}"
        self._sockets[line] = await WebSocket.to(self._port, path, partial(self._received, line))

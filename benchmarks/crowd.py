"""Many WebSockets that are told and heard as one."""

import asyncio
from collections.abc import Sequence

from benchmarks.web_socket import Hears, WebSocket

CONNECTING_AT_A_TIME = 64


class Crowd:
    """Counts what all of its sockets hear together, and hands it on."""

    def __init__(self) -> None:
        self.sockets: list[WebSocket] = []
        self.hands_on: Hears | None = None
        self._heard = 0
        self._wanted = 0
        self._enough = asyncio.Event()

    async def open(self, port: int, paths: Sequence[str]) -> None:
        """Open a socket for each path. Raises what `WebSocket.to` raises."""
        turns = asyncio.Semaphore(CONNECTING_AT_A_TIME)

        async def opened(path: str) -> WebSocket:
            async with turns:
                return await WebSocket.to(port, path, self._hears)

        self.sockets += await asyncio.gather(*map(opened, paths))

    def tell(self, message: bytes) -> None:
        for socket in self.sockets:
            socket.tell(message)

    async def hear(self, count: int, *, within: float) -> int:
        """Wait for so many messages, those that came before included, and return how many of them
        came within so many seconds."""
        self._wanted = count
        self._enough.clear()
        if self._heard < count:
            try:
                async with asyncio.timeout(within):
                    await self._enough.wait()
            except TimeoutError:
                count = self._heard
        self._heard -= count
        return count

    async def leave(self) -> None:
        await asyncio.gather(*(socket.leave() for socket in self.sockets))

    def _hears(self, message: bytes) -> None:
        if self.hands_on is not None:
            self.hands_on(message)
        self._heard += 1
        if self._heard == self._wanted:
            self._enough.set()

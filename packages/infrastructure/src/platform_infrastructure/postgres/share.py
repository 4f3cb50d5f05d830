"""The part of the pool that the queries of one module may hold, so that none starves the others."""

import asyncio

from platform_domain.errors import Unavailable


class Share:
    """So many `places`, and a queue of at most `queue` who wait for one."""

    def __init__(self, places: int, queue: int) -> None:
        self._places = asyncio.Semaphore(places)
        self._queue = queue
        self.waiting = 0

    async def enter(self) -> None:
        """Take a place, or wait for one. Raises `Unavailable` at once when too many wait."""
        if not self._places.locked():
            await self._places.acquire()
            return
        if self.waiting >= self._queue:
            raise Unavailable
        self.waiting += 1
        try:
            await self._places.acquire()
        finally:
            self.waiting -= 1

    def leave(self) -> None:
        self._places.release()

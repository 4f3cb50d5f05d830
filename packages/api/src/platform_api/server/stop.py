"""The request to stop, whoever makes it."""

import asyncio
from contextlib import suppress

from platform_api.server.watchdog import Watchdog


class Stop:
    """Asked once or more often, it starts the watchdog's countdown and wakes who waits."""

    def __init__(self, loop: asyncio.AbstractEventLoop, watchdog: Watchdog) -> None:
        self._loop = loop
        self._watchdog = watchdog
        self._asked = asyncio.Event()

    def ask(self) -> None:
        """Ask to stop. May be called from a signal handler."""
        self._watchdog.arm()
        with suppress(RuntimeError):  # The loop may have ended by itself just now.
            self._loop.call_soon_threadsafe(self._asked.set)

    async def asked(self) -> None:
        """Return as soon as somebody has asked."""
        await self._asked.wait()

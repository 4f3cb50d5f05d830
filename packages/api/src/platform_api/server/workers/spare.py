"""The process that waits for work."""

import asyncio
from collections.abc import Sequence

from loguru import logger

from platform_api.server.workers.worker import Worker


class Spare:
    """Has loaded the code, which is nearly all that a start takes; it opens and reads nothing yet.

    `command` starts one.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._waiting: Worker | None = None
        self._making = asyncio.Lock()

    async def make(self) -> None:
        """Have one, if the system allows; it gets ready in its own time."""
        async with self._making:
            if self._waiting is None:
                try:
                    self._waiting = await Worker.start(self._command)
                except OSError as error:
                    logger.warning("There is no spare worker: {}.", error.strerror)

    async def taken(self) -> Worker:
        """Return it if it is there, or else a new process. Raises `OSError`."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None and waiting.lives:
            return waiting
        return await Worker.start(self._command)

    async def dismiss(self) -> None:
        """End it. It has done nothing that could be lost."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.kill()
            await waiting.ended()

    def kill(self) -> None:
        """End it at once. Safe in a signal handler."""
        if self._waiting is not None:
            self._waiting.kill()

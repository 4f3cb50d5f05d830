"""The process that waits for work."""

import asyncio
from collections.abc import Sequence

from loguru import logger

from platform_api.server.workers.back_off import BackOff
from platform_api.server.workers.worker import Worker


class Spare:
    """Loads the code, which is nearly all that a start takes, and opens and reads nothing yet.

    `command` starts one.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._waiting: Worker | None = None
        self._back_off = BackOff()
        self._wanted = asyncio.Event()

    def want(self) -> None:
        """Have one from now on, unless there is one; it gets ready in its own time."""
        self._wanted.set()

    async def keep(self) -> None:
        """Start one whenever it is wanted. Runs until it is cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            if self._waiting is None:
                await self._start()

    async def _start(self) -> None:
        try:
            spare = self._waiting = await Worker.start(self._command)
        except OSError as error:
            logger.warning("There is no spare worker: {}.", error.strerror)
            return
        ended = asyncio.create_task(spare.ended(), name=f"end of process {spare.pid}")
        ended.add_done_callback(lambda _: self._notice_the_end_of(spare))

    def _notice_the_end_of(self, spare: Worker) -> None:
        if spare is not self._waiting:  # It was taken, or dismissed.
            return
        self._waiting = None
        logger.warning("The spare worker (process {}) ended with {}.", spare.pid, spare.end())
        asyncio.get_running_loop().call_later(self._back_off.pause(spare.age), self.want)

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

"""All workers that live, whatever their slots are doing."""

import asyncio
from collections.abc import Sequence
from socket import socket

from loguru import logger

from platform_api.server.exit_codes import ExitCode
from platform_api.server.workers.addresses import Public
from platform_api.server.workers.worker import Worker
from platform_domain.startup import StartupError

WORST_LAST = (ExitCode.CLEAN, ExitCode.START_UP_FAILED, ExitCode.FORCED, ExitCode.NOT_CLEAN)


class Crew:
    """Starts workers with `command` and remembers them until they have ended.

    `lent` is the URL of a database for the case that their settings name none.
    `stop_timeout` is how long one may take to stop, in seconds.
    """

    def __init__(self, command: Sequence[str], *, lent: str, stop_timeout: float) -> None:
        self._command = command
        self._lent = lent
        self._stop_timeout = stop_timeout
        self._living: list[Worker] = []

    async def start(self, number: int, public: Public, admin: socket) -> Worker:
        """Return a worker that serves. Raises `StartupError` when it ends before."""
        worker = await self._started(number, public, admin)
        self._living = [*filter(_lives, self._living), worker]
        if not await worker.ready():
            await worker.ended()
            raise StartupError(
                f"Worker {number} (process {worker.pid}) ended with {worker.end()} before it"
                " was ready; its own lines say why."
            )
        logger.info("Worker {} is process {} ({:.2f} s).", number, worker.pid, worker.age)
        return worker

    async def _started(self, number: int, public: Public, admin: socket) -> Worker:
        try:
            return await Worker.start(self._command, number, public, admin, lent=self._lent)
        except OSError as error:
            raise StartupError(f"Worker {number} cannot be started: {error.strerror}.") from error

    async def retire(self, worker: Worker) -> None:
        """Let one go whose sockets another one has; return when it has ended."""
        worker.say_it_is_replaced()
        await worker.ended_within(self._stop_timeout)
        if code := worker.exit_code():
            logger.warning("Worker {} left with {} ({}).", worker.number, worker.end(), code.name)

    async def stop(self) -> ExitCode:
        """Stop all, and return the worst of their exit codes."""
        leaving = [*filter(_lives, self._living)]
        for worker in leaving:
            worker.ask_to_stop()
        await asyncio.gather(*(worker.ended_within(self._stop_timeout) for worker in leaving))
        for worker in leaving:
            logger.info("Worker {} ended with {}.", worker.number, worker.end())
        codes = [worker.exit_code() for worker in leaving]
        return max(codes, key=WORST_LAST.index, default=ExitCode.CLEAN)

    def kill(self) -> None:
        """End all processes at once. Safe in a signal handler."""
        for worker in self._living:
            worker.kill()


def _lives(worker: Worker) -> bool:
    return worker.lives

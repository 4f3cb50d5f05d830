"""All workers that live, whatever their slots are doing."""

import asyncio
import signal
from collections.abc import Callable
from socket import socket

from loguru import logger

from platform_api.server.exit_codes import ExitCode
from platform_api.server.workers.assignment import Assignment
from platform_api.server.workers.last_reload import reload_line
from platform_api.server.workers.spare import Spare
from platform_api.server.workers.worker import Worker
from platform_domain.startup import StartupError

WORST_LAST = (ExitCode.CLEAN, ExitCode.START_UP_FAILED, ExitCode.FORCED, ExitCode.NOT_CLEAN)


class Crew:
    """Starts workers and keeps track of them until they have ended.

    The next worker is `spare`, which is then replaced. `lent` is the URL of a database for workers
    whose settings name none. `public_stays` is as in `Inherited`. `stop_timeout` is how long a
    worker may take to stop, and `stall_timeout` how long its event loop may be blocked, both in
    seconds.
    """

    def __init__(
        self,
        spare: Spare,
        *,
        lent: str,
        public_stays: bool,
        stop_timeout: float,
        stall_timeout: float,
    ) -> None:
        self._spare = spare
        self._lent = lent
        self._public_stays = public_stays
        self._stop_timeout = stop_timeout
        self._stall_timeout = stall_timeout
        self._last_reload = reload_line("")
        self._living: list[Worker] = []

    async def start(self, number: int, public: Callable[[], socket], admin: socket) -> Worker:
        """Return a worker that serves. Raises `StartupError` when it ends before.

        `public` is called for the public socket when all else is ready. It may raise that, too.
        """
        worker = await self._hired(number)
        self._living = [*filter(_lives, self._living), worker]
        assignment = Assignment(worker=number, public_stays=self._public_stays, lent=self._lent)
        if not await _serves(worker, assignment, admin, public):
            await worker.ended()
            raise StartupError(
                f"Worker {number} (process {worker.pid}) ended with {worker.end()} before it"
                " was ready; its own lines say why."
            )
        logger.info("Worker {} is process {} ({:.2f} s).", number, worker.pid, worker.age)
        worker.send(self._last_reload)
        self._spare.want()
        return worker

    async def _hired(self, number: int) -> Worker:
        try:
            return await self._spare.taken()
        except OSError as error:
            raise StartupError(f"Worker {number} cannot be started: {error.strerror}.") from error

    async def watch(self, worker: Worker) -> None:
        """Return when `worker` has ended; kill it if its event loop is blocked."""
        while await worker.stalls(self._stall_timeout):
            stack, is_back = await worker.stacks()
            if is_back:
                logger.warning(
                    "Worker was stalled and runs again",
                    worker=worker.number,
                    process=worker.pid,
                    stack=stack,
                )
                continue
            logger.error(
                "Worker stalled; it is killed and replaced",
                worker=worker.number,
                process=worker.pid,
                seconds=self._stall_timeout,
                stack=stack,
            )
            worker.kill()
            break
        await worker.ended()

    def note_reload(self, problem: str) -> None:
        """Report the reload in the workers' /health; an empty `problem` means success."""
        self._last_reload = reload_line(problem)
        for worker in self._living:
            if worker.serves:
                worker.send(self._last_reload)

    def log_stacks(self) -> None:
        """Make each worker log its stacks. Safe in a signal handler."""
        for worker in self._living:
            worker.send_signal(signal.SIGUSR1)

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
        await asyncio.gather(
            self._spare.dismiss(),
            *(worker.ended_within(self._stop_timeout) for worker in leaving),
        )
        for worker in leaving:
            logger.info("Worker {} ended with {}.", worker.number, worker.end())
        codes = [worker.exit_code() for worker in leaving]
        return max(codes, key=WORST_LAST.index, default=ExitCode.CLEAN)

    def kill(self) -> None:
        """End all processes at once. Safe in a signal handler."""
        for worker in self._living:
            worker.kill()
        self._spare.kill()


def _lives(worker: Worker) -> bool:
    return worker.lives


async def _serves(
    worker: Worker, assignment: Assignment, admin: socket, public: Callable[[], socket]
) -> bool:
    try:
        return await worker.serve(assignment, admin, public)
    except (OSError, StartupError) as error:
        worker.kill()
        await worker.ended()
        raise StartupError(f"Worker {assignment.worker} has no sockets. {error}") from error

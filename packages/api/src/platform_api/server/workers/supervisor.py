"""`serve --workers N`: one parent, N processes that each run the whole server."""

import asyncio
import sys
from collections.abc import Sequence

from loguru import logger

from platform_api.server.exit_codes import ExitCode
from platform_api.server.hangup import on_hangup
from platform_api.server.signals import StopSignals, end_at_once
from platform_api.server.stacks import log_on_signal
from platform_api.server.stop import Stop
from platform_api.server.watchdog import Watchdog
from platform_api.server.workers.addresses import Addresses
from platform_api.server.workers.crew import Crew
from platform_api.server.workers.slot import Slot
from platform_api.server.workers.spare import Spare
from platform_config import ShutdownSettings
from platform_domain.startup import StartupError


class Supervisor:
    """Keeps a worker on each of `addresses` alive, replaces them on SIGHUP, stops them on SIGTERM.

    `command` starts a worker, which reads the settings again; ports, the number of workers and the
    stop timeout do not change. A worker whose event loop is blocked for `stall_timeout` seconds is
    replaced. `lent` is the URL of a database for workers whose settings name none. The caller
    enters `addresses`.
    """

    def __init__(
        self,
        command: Sequence[str],
        addresses: Addresses,
        shutdown: ShutdownSettings,
        *,
        stall_timeout: float,
        lent: str = "",
    ) -> None:
        self._addresses = addresses
        self._spare = Spare(command)
        self._crew = Crew(
            self._spare,
            lent=lent,
            public_stays=addresses.public_stays,
            stop_timeout=shutdown.worker_timeout,
            stall_timeout=stall_timeout,
        )
        self._watchdog = Watchdog(shutdown.parent_watchdog)

    def run(self) -> ExitCode:
        """Serve until a signal and return the exit code. Blocks; belongs in the main thread.

        Raises `StartupError` when the workers cannot serve.
        """
        if sys.platform == "win32":
            raise StartupError("More than one worker is not supported on Windows: set WORKERS=1.")
        log_on_signal(also=self._crew.log_stacks)
        runner = asyncio.Runner()
        with self._watchdog:
            stop = Stop(runner.get_loop(), self._watchdog)
            with StopSignals(stop.ask, self._insist), runner:
                return runner.run(self._live(stop))

    async def _live(self, stop: Stop) -> ExitCode:
        reload = asyncio.Event()
        on_hangup(reload.set, gone=stop.ask)
        working = asyncio.create_task(self._work(reload), name="workers")
        working.add_done_callback(lambda _: stop.ask())
        await stop.asked()
        working.cancel()  # First: nobody may start a worker any more.
        await asyncio.wait({working})
        code = await self._crew.stop()
        return code if working.cancelled() else _failed(working)

    async def _work(self, reload: asyncio.Event) -> None:
        slots = [
            Slot(number, self._crew, self._addresses) for number in range(self._addresses.workers)
        ]
        await _open(slots)
        logger.info("{} workers serve http://{}", len(slots), self._addresses.public_address)
        async with asyncio.TaskGroup() as group:
            for slot in slots:
                group.create_task(slot.keep())
            group.create_task(self._spare.keep())
            group.create_task(self._replace_whenever(reload, slots))

    async def _replace_whenever(self, asked: asyncio.Event, slots: Sequence[Slot]) -> None:
        while True:
            await asked.wait()
            asked.clear()
            await self._spare.dismiss()  # It has loaded the code of before.
            self._crew.note_reload(await _replace(slots))
            self._spare.want()  # Also when none of the new ones has served.

    def _insist(self) -> None:
        self._crew.kill()
        end_at_once()


def _failed(working: asyncio.Task[None]) -> ExitCode:
    """Raise the `StartupError` that ended the work, and log whatever else did."""
    error = working.exception()
    if isinstance(error, StartupError):
        raise error
    logger.opt(exception=error).error("The supervisor failed.")
    return ExitCode.NOT_CLEAN


async def _open(slots: Sequence[Slot]) -> None:
    """Open the first alone: what keeps all of them from starting is told once."""
    first, *others = slots
    await first.open()
    try:
        async with asyncio.TaskGroup() as group:
            for slot in others:
                group.create_task(slot.open())
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None


async def _replace(slots: Sequence[Slot]) -> str:
    """Replace the workers one at a time, so that all but one always serve.

    Returns the problem, or an empty string.
    """
    logger.info("Replacing the {} workers.", len(slots))
    try:
        for slot in slots:
            await slot.replace()
    except StartupError as error:
        logger.error("{} The workers that are left go on.", error)
        return str(error)
    logger.info("All workers are new.")
    return ""

"""A place that always has a worker."""

import asyncio

from loguru import logger

from platform_api.server.workers.addresses import Addresses, Public
from platform_api.server.workers.back_off import BackOff
from platform_api.server.workers.crew import Crew
from platform_api.server.workers.worker import Worker
from platform_domain.startup import StartupError


class Slot:
    """Has one worker, another one when that ends, and for a moment two when it is replaced.

    A replacement takes over the public socket with the connections that wait in it. When a worker
    dies its socket is closed, so that new connections go to the other workers meanwhile.
    """

    def __init__(self, number: int, crew: Crew, addresses: Addresses) -> None:
        self._number = number
        self._crew = crew
        self._addresses = addresses
        self._back_off = BackOff()
        self._changing = asyncio.Lock()
        self._worker: Worker
        self._public: Public

    async def open(self) -> None:
        """Return when the slot has a worker that serves. Raises `StartupError` when it ends."""
        self._public = self._addresses.public()
        try:
            self._worker = await self._started()
        except BaseException:
            self._public.socket.close()
            raise

    async def keep(self) -> None:
        """Start a worker whenever one has ended. Runs until it is cancelled."""
        try:
            while True:
                await self._keep(self._worker)
        finally:
            self._public.socket.close()

    async def replace(self) -> None:
        """Start another worker, and when it serves let the old one go.

        Raises `StartupError`, and the old one stays, when the other ends before it serves.
        """
        async with self._changing:
            old, self._worker = self._worker, await self._started()
        await self._crew.retire(old)

    async def _started(self) -> Worker:
        return await self._crew.start(
            self._number, self._public, self._addresses.admin(self._number)
        )

    async def _keep(self, worker: Worker) -> None:
        await worker.ended()
        async with self._changing:
            if worker is not self._worker:  # It was replaced.
                return
            self._public.socket.close()
            logger.error(
                "Worker {} (process {}) ended with {}.", self._number, worker.pid, worker.end()
            )
            await self._start_again(worker.age)

    async def _start_again(self, lived: float) -> None:
        while True:
            pause = self._back_off.pause(lived)
            logger.info("Worker {} starts again in {:g} s.", self._number, pause)
            await asyncio.sleep(pause)
            try:
                return await self.open()
            except StartupError as error:
                logger.error("{}", error)
            lived = 0.0

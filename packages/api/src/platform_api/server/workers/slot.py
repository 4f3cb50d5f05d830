"""A place that always has a worker."""

import asyncio
from socket import socket

from loguru import logger

from platform_api.server.workers.addresses import Addresses
from platform_api.server.workers.back_off import BackOff
from platform_api.server.workers.crew import Crew
from platform_api.server.workers.worker import Worker
from platform_domain.startup import StartupError

QUEUE_KEPT_SECONDS = 2.0


class Slot:
    """Has one worker, another one when that ends, and for a moment two when it is replaced.

    Who comes next takes over the public socket with the connections that wait in it. When that
    takes long, or fails, the socket is closed: whoever waits in it is told, and new connections go
    to the other workers.
    """

    def __init__(self, number: int, crew: Crew, addresses: Addresses) -> None:
        self._number = number
        self._crew = crew
        self._addresses = addresses
        self._back_off = BackOff()
        self._changing = asyncio.Lock()
        self._public: socket | None = None
        self._worker: Worker

    async def open(self) -> None:
        """Return when the slot has a worker that serves. Raises `StartupError` when it ends."""
        try:
            self._worker = await self._started()
        except BaseException:
            self._close_public()
            raise

    async def keep(self) -> None:
        """Start a worker whenever one has ended. Runs until it is cancelled."""
        try:
            while True:
                await self._keep(self._worker)
        finally:
            self._close_public()

    async def replace(self) -> None:
        """Start another worker, and when it serves let the old one go.

        Raises `StartupError`, and the old one stays, when the other ends before it serves.
        """
        async with self._changing:
            old, self._worker = self._worker, await self._started()
        await self._crew.retire(old)

    async def _started(self) -> Worker:
        return await self._crew.start(
            self._number, self._opened_public, self._addresses.admin(self._number)
        )

    def _opened_public(self) -> socket:
        if self._public is None:
            self._public = self._addresses.public()
        return self._public

    def _close_public(self) -> None:
        if self._public is not None:
            self._public.close()
            self._public = None

    async def _keep(self, worker: Worker) -> None:
        await worker.ended()
        async with self._changing:
            if worker is not self._worker:  # It was replaced.
                return
            logger.error(
                "Worker {} (process {}) ended with {}.", self._number, worker.pid, worker.end()
            )
            closing = asyncio.get_running_loop().call_later(QUEUE_KEPT_SECONDS, self._close_public)
            try:
                await self._start_again(worker.age)
            finally:
                closing.cancel()

    async def _start_again(self, lived: float) -> None:
        while True:
            pause = self._back_off.pause(lived)
            logger.info("Worker {} starts again in {:g} s.", self._number, pause)
            if pause >= QUEUE_KEPT_SECONDS:
                self._close_public()
            await asyncio.sleep(pause)
            try:
                return await self.open()
            except StartupError as error:
                logger.error("{}", error)
            lived = 0.0

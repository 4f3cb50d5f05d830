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

    Who comes next takes over the public socket with the connections that wait in it. When nobody
    has come 2 s after the end of a worker, or the next one ends as well, the socket is closed:
    whoever waits in it is sent away, and new connections go to the other workers.
    """

    def __init__(self, number: int, crew: Crew, addresses: Addresses) -> None:
        self._number = number
        self._crew = crew
        self._addresses = addresses
        self._back_off = BackOff()
        self._changing = asyncio.Lock()
        self._public: socket | None = None
        self._is_handed_over = False
        self._closing: asyncio.TimerHandle | None = None
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
        try:
            return await self._crew.start(
                self._number, self._hand_over, self._addresses.admin(self._number)
            )
        finally:
            self._is_handed_over = False

    def _hand_over(self) -> socket:
        """Return the public socket, for a worker that is about to accept what waits in it."""
        self._let_wait()
        if self._public is None:
            self._public = self._addresses.public()
        self._is_handed_over = True
        return self._public

    def _close_public(self) -> None:
        self._let_wait()
        if self._public is not None:
            self._public.close()
            self._public = None

    async def _keep(self, worker: Worker) -> None:
        await self._crew.watch(worker)
        if worker is self._worker:
            self._limit_waiting()  # Also while a replacement that was asked for is being started.
        async with self._changing:
            if worker is self._worker:  # Else it was replaced.
                self._limit_waiting()
                logger.error(
                    "Worker {} (process {}) ended with {}.", self._number, worker.pid, worker.end()
                )
                await self._start_again(worker.age)

    def _limit_waiting(self) -> None:
        if self._public is None or self._is_handed_over or self._closing is not None:
            return
        loop = asyncio.get_running_loop()
        self._closing = loop.call_later(QUEUE_KEPT_SECONDS, self._send_away)

    def _let_wait(self) -> None:
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None

    def _send_away(self) -> None:
        logger.warning(
            "Nobody took the place of worker {} in {:g} s: who waits for it is sent away.",
            self._number,
            QUEUE_KEPT_SECONDS,
        )
        self._close_public()

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

"""Brings events from the outbox to Valkey.

Each node relays whatever waits, also what others wrote and could not bring any more. Two that
bring the same event do no harm: Valkey takes each id once. Both go through the events in order
and neither goes on before an event is there, so the order holds as well.
"""

import asyncio
from contextlib import suppress

from loguru import logger

from platform_domain.errors import Unavailable
from platform_domain.events import TopicName
from platform_infrastructure.events.outbox import RELAYED_AT_ONCE, Outbox
from platform_infrastructure.events.valkey_log import ValkeyLog
from platform_infrastructure.postgres.connect import cause

LOOK_SECONDS = 1.0
"""How long the events of a node that died may wait."""


class Relay:
    def __init__(self, outbox: Outbox, log: ValkeyLog) -> None:
        self._outbox = outbox
        self._log = log
        self._wanted = asyncio.Event()
        self._is_failing = False

    def wake(self) -> None:
        """Say that something waits."""
        self._wanted.set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Relay until told to stop, and then once more."""
        told = asyncio.create_task(self._wake_when(stopping))
        try:
            while True:
                is_last = stopping.is_set()
                self._wanted.clear()
                await self._try()
                if is_last:
                    return
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_SECONDS):
                        await self._wanted.wait()
        finally:
            told.cancel()

    async def _wake_when(self, stopping: asyncio.Event) -> None:
        await stopping.wait()
        self.wake()

    async def _try(self) -> None:
        try:
            await self._relay_all()
        except Unavailable as error:
            if not self._is_failing:
                logger.warning("Events wait in the outbox: {}.", cause(error.__cause__ or error))
            self._is_failing = True
        else:
            if self._is_failing:
                logger.info("Events in the outbox are told again.")
            self._is_failing = False

    async def _relay_all(self) -> None:
        while True:
            events = await self._outbox.first()
            for event in events:
                await self._log.append(TopicName(event.topic), event.data, id=event.id)
            if events:
                await self._outbox.remove(events)
            if len(events) < RELAYED_AT_ONCE:
                return

"""Events of units of work: an outbox table in PostgreSQL, and the relay that sends them to Valkey.

Adding an event first locks its topic until the commit and then takes a number, so the numbers of a
topic follow the order of its commits. Every node relays, so that the events of a dead node are sent
too. Two nodes may send the same event, because Valkey accepts each id once.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

from loguru import logger

from platform_domain.errors import Unavailable
from platform_domain.events import TopicName
from platform_infrastructure.events.valkey.log import ValkeyLog
from platform_infrastructure.postgres.connect import cause
from platform_infrastructure.postgres.database import Database
from platform_queries import Exec, Many

RELAYED_AT_ONCE = 100
LOOK_SECONDS = 1.0
"""How long the events of a node that died may wait."""


@dataclass(frozen=True, slots=True)
class WaitingEvent:
    number: int
    id: UUID
    topic: str
    data: bytes


class AddWaitingEvent(Exec):
    sql = """
        INSERT INTO event_outbox (topic, data)
        SELECT %(topic)s, %(data)s
        FROM pg_advisory_xact_lock(hashtext('event_outbox'), hashtext(%(topic)s))
    """
    topic: str
    data: bytes


class ListWaitingEvents(Many[WaitingEvent]):
    sql = "SELECT number, id, topic, data FROM event_outbox ORDER BY number LIMIT %(limit)s"
    limit: int


class RemoveWaitingEvents(Exec):
    sql = "DELETE FROM event_outbox WHERE number = ANY(%(numbers)s)"
    numbers: list[int]


class OutboxTable:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, topic: TopicName, data: bytes) -> None:
        """Add an event to the current unit of work."""
        await self._database.run(AddWaitingEvent(topic=topic, data=data))

    async def first(self) -> Sequence[WaitingEvent]:
        """Return the events that have waited longest, in order."""
        return await self._database.run(ListWaitingEvents(limit=RELAYED_AT_ONCE))

    async def remove(self, events: Sequence[WaitingEvent]) -> None:
        numbers = [event.number for event in events]
        await self._database.run(RemoveWaitingEvents(numbers=numbers))


class Relay:
    """Sends waiting events in order, and waits until each has arrived before it sends the next."""

    def __init__(self, outbox: OutboxTable, log: ValkeyLog) -> None:
        self._outbox = outbox
        self._log = log
        self._wanted = asyncio.Event()
        self._is_failing = False

    def wake(self) -> None:
        """Relay now instead of at the next poll."""
        self._wanted.set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Relay until `stopping` is set, and then once more."""
        stop = asyncio.create_task(self._wake_when(stopping))
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
            stop.cancel()

    async def _wake_when(self, stopping: asyncio.Event) -> None:
        await stopping.wait()
        self.wake()

    async def _try(self) -> None:
        try:
            await self._relay_all()
        except Unavailable as error:
            if not self._is_failing:
                logger.warning("Outbox delivery failed", reason=cause(error.__cause__ or error))
            self._is_failing = True
        else:
            if self._is_failing:
                logger.info("Outbox delivery resumed")
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

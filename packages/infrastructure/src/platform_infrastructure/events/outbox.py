"""Events that wait in PostgreSQL, written with the work they belong to, for another server.

Whoever writes holds a lock on the topic until the commit, and takes a number only then: so the
numbers of a topic are in the order of its commits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from platform_domain.events import TopicName
from platform_infrastructure.postgres.database import Database
from platform_infrastructure.postgres.query import Exec, Many

RELAYED_AT_ONCE = 100


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


class Outbox:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, topic: TopicName, data: bytes) -> None:
        """Keep an event with the current unit of work."""
        await self._database.run(AddWaitingEvent(topic=topic, data=data))

    async def first(self) -> Sequence[WaitingEvent]:
        """Return those that have waited longest, in their order."""
        return await self._database.run(ListWaitingEvents(limit=RELAYED_AT_ONCE))

    async def remove(self, events: Sequence[WaitingEvent]) -> None:
        numbers = [event.number for event in events]
        await self._database.run(RemoveWaitingEvents(numbers=numbers))

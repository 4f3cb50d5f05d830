"""Events in PostgreSQL: a row per topic that numbers them, and a log to read them from.

Whoever publishes holds the row of the topic until the commit. So numbers become visible in their
order and without a hole, and a reader that has seen number 7 will never find a 6 that comes late.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from platform_domain.event_bus import Delivery, Position, Replay
from platform_domain.events import TopicName
from platform_infrastructure.events.engine import RETAINED_EVENTS, RETAINED_SECONDS, replay_of
from platform_infrastructure.postgres.database import Database
from platform_queries import Exec, Many, One

HEADS_RETAINED_SECONDS = 30 * RETAINED_SECONDS
"""A topic that was silent for so long starts anew, in another epoch, if it is ever used again."""
TRIMMED_AT_ONCE = 5000
"""Few enough for the statement timeout; what is left over is trimmed by the next statement."""


@dataclass(frozen=True, slots=True)
class Head:
    topic: str
    epoch: UUID
    number: int

    @property
    def position(self) -> Position:
        return Position(str(self.epoch), self.number)


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    topic: str
    epoch: UUID
    number: int
    data: bytes

    @property
    def delivery(self) -> Delivery:
        return Delivery(TopicName(self.topic), Position(str(self.epoch), self.number), self.data)


class AppendEvent(One[int]):
    """Numbers and keeps an event; with the commit, all nodes are told that there is one."""

    sql = """
        WITH head AS (
            INSERT INTO event_heads AS heads (topic, number) VALUES (%(topic)s, 1)
            ON CONFLICT (topic) DO UPDATE SET number = heads.number + 1, used_at = now()
            RETURNING topic, epoch, number
        ), logged AS (
            INSERT INTO event_log (topic, number, data)
            SELECT topic, number, %(data)s FROM head
        )
        SELECT number FROM head, pg_notify('platform_events', concat_ws(' ', number, epoch, topic))
    """
    # The head gives each number once, and is there because the same statement sees to it.
    unbreakable = {"event_log_pkey", "event_log_topic_fkey"}
    topic: str
    data: bytes


class FindHeads(Many[Head]):
    sql = "SELECT topic, epoch, number FROM event_heads WHERE topic = ANY(%(topics)s)"
    topics: list[str]


class CreateHeads(Exec):
    sql = """
        INSERT INTO event_heads (topic) SELECT unnest(%(topics)s::text[])
        ON CONFLICT (topic) DO NOTHING
    """
    topics: list[str]


class ReadEvents(Many[LoggedEvent]):
    """Returns what came behind the places given, some at a time. Another epoch is read from 1."""

    sql = """
        SELECT head.topic, head.epoch, log.number, log.data
        FROM unnest(%(topics)s::text[], %(epochs)s::text[], %(numbers)s::bigint[])
             AS known (topic, epoch, number)
        JOIN event_heads AS head ON head.topic = known.topic
        JOIN event_log AS log ON log.topic = head.topic AND log.number >
             CASE WHEN head.epoch::text = known.epoch THEN known.number ELSE 0 END
        ORDER BY head.topic, log.number LIMIT %(limit)s
    """
    topics: list[str]
    epochs: list[str]
    numbers: list[int]
    limit: int

    @classmethod
    def behind(cls, known: Mapping[TopicName, Position]) -> "ReadEvents":
        return cls(
            topics=list(known),
            epochs=[position.epoch for position in known.values()],
            numbers=[position.offset for position in known.values()],
            limit=RETAINED_EVENTS,
        )


@dataclass(frozen=True, slots=True)
class ReplayedEvent:
    epoch: UUID
    head: int
    number: int | None
    data: bytes | None


class ReplayEvents(Many[ReplayedEvent]):
    """Returns the head in each row, so that it and the events are of one moment."""

    sql = """
        SELECT head.epoch, head.number AS head, log.number, log.data
        FROM event_heads AS head
        LEFT JOIN event_log AS log ON log.topic = head.topic
             AND head.epoch::text = %(epoch)s AND log.number > %(after)s
        WHERE head.topic = %(topic)s
        ORDER BY log.number LIMIT %(limit)s
    """
    topic: str
    epoch: str
    after: int
    limit: int


class TrimCrowded(Exec):
    """Forgets the events of busy topics that are too many."""

    sql = """
        DELETE FROM event_log WHERE (topic, number) IN (
            SELECT log.topic, log.number
            FROM event_heads AS head
            JOIN event_log AS log
                 ON log.topic = head.topic AND log.number <= head.number - %(retained)s
            WHERE head.number > %(retained)s
            LIMIT %(limit)s FOR UPDATE OF log SKIP LOCKED
        )
    """
    retained: int
    limit: int


class TrimOld(Exec):
    sql = """
        DELETE FROM event_log WHERE (topic, number) IN (
            SELECT topic, number FROM event_log
            WHERE at < now() - make_interval(secs => %(seconds)s)
            LIMIT %(limit)s FOR UPDATE SKIP LOCKED
        )
    """
    seconds: float
    limit: int


class TrimHeads(Exec):
    """Forgets topics, and their events with them."""

    sql = """
        DELETE FROM event_heads WHERE topic IN (
            SELECT topic FROM event_heads
            WHERE used_at < now() - make_interval(secs => %(seconds)s)
            LIMIT %(limit)s FOR UPDATE SKIP LOCKED
        )
    """
    seconds: float
    limit: int


class EventLog:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, topic: TopicName, data: bytes) -> None:
        """Keep an event: with the commit when there is a unit of work, else at once."""
        await self._database.run(AppendEvent(topic=topic, data=data))

    async def heads(self, topics: Sequence[TopicName]) -> list[Position]:
        """Return the place of each topic. One that is new gets its epoch now, and keeps it."""
        known = await self._find(topics)
        if missing := [topic for topic in topics if topic not in known]:
            await self._database.run(CreateHeads(topics=sorted(missing)))
            known |= await self._find(missing)
        return [known[topic] for topic in topics]

    async def replay(self, topic: TopicName, after: Position) -> Replay:
        rows = await self._database.run(
            ReplayEvents(topic=topic, epoch=after.epoch, after=after.offset, limit=RETAINED_EVENTS)
        )
        if not rows:
            (head,) = await self.heads([topic])
            return replay_of((), after, head)
        epoch, head_number = str(rows[0].epoch), rows[0].head
        kept = [
            Delivery(topic, Position(epoch, row.number), row.data)
            for row in rows
            if row.number is not None and row.data is not None
        ]
        return replay_of(kept, after, Position(epoch, head_number))

    async def trim(self, stopping: asyncio.Event) -> None:
        """Forget what nobody may ask for any more. Any number of nodes may do so at a time."""
        crowded = TrimCrowded(retained=RETAINED_EVENTS, limit=TRIMMED_AT_ONCE)
        old = TrimOld(seconds=RETAINED_SECONDS, limit=TRIMMED_AT_ONCE)
        unused = TrimHeads(seconds=HEADS_RETAINED_SECONDS, limit=TRIMMED_AT_ONCE)
        for query in (crowded, old, unused):
            while await self._database.run(query) == TRIMMED_AT_ONCE and not stopping.is_set():
                pass

    async def _find(self, topics: Sequence[TopicName]) -> dict[str, Position]:
        heads = await self._database.run(FindHeads(topics=list(topics)))
        return {head.topic: head.position for head in heads}

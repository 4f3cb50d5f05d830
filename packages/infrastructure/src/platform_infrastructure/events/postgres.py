"""Events between processes that share a PostgreSQL. No other server is needed."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import psycopg
from psycopg import AsyncConnection

from platform_config import DatabaseSettings
from platform_domain.event_bus import Interrupted, Position, Replay, Sink
from platform_domain.events import TopicName
from platform_infrastructure.events.engine import RETAINED_EVENTS, EventEngine, Feeds, require_small
from platform_infrastructure.events.link import Link
from platform_infrastructure.events.postgres_log import EventLog, ReadEvents
from platform_infrastructure.postgres.bounded import bounded
from platform_infrastructure.postgres.connect import connect_directly, require_writes
from platform_infrastructure.postgres.database import Database
from platform_queries import Query

T = TypeVar("T")

LISTEN = b"LISTEN platform_events"
QUIET_SECONDS = 2.0
"""Seconds without a notification after which we ask whether the server is still the primary."""
PING_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Wakeup:
    topic: TopicName
    position: Position

    @classmethod
    def read(cls, payload: str) -> Self:
        number, epoch, topic = payload.split(" ", 2)
        return cls(TopicName(topic), Position(epoch, int(number)))


class Wakeups:
    """A listening connection. Its methods raise psycopg's errors when it is lost."""

    def __init__(self, connection: AsyncConnection[Any], statement_timeout: float) -> None:
        self._connection = connection
        # An exhausted pool must not keep events from listeners.
        self._bound = statement_timeout + 1.0

    async def next(self) -> list[Wakeup]:
        """Wait for wake-ups and return all that arrived together."""
        while True:
            notifies = self._connection.notifies(timeout=QUIET_SECONDS, stop_after=1)
            if heard := [Wakeup.read(notify.payload) async for notify in notifies]:
                return heard
            # Without a check, a vanished server would be noticed only when TCP gives up, and an old
            # primary that became read-only never: events are written on the new primary.
            await require_writes(self._connection, PING_SECONDS)

    async def run(self, query: Query[T]) -> T:
        return await bounded(self._connection, query.execute(self._connection), self._bound)


@asynccontextmanager
async def listening(settings: DatabaseSettings) -> AsyncIterator[Wakeups]:
    """Listen on a connection of its own.

    Raises `ReadOnly`, besides psycopg's errors, if the address leads to a read-only server.
    """
    connection = await connect_directly(settings)
    try:
        await require_writes(connection, PING_SECONDS)
        await bounded(connection, connection.execute(LISTEN), PING_SECONDS)
        yield Wakeups(connection, settings.statement_timeout)
    finally:
        await connection.close()


LOSSES = (psycopg.OperationalError, OSError)


class PostgresEventBus(EventEngine):
    """An event is a row, written in the transaction of the caller; NOTIFY says that there is one.

    Notifying transactions commit one at a time in the whole server, so this engine is for
    hundreds of events a second, not for many thousands.
    """

    def __init__(self, settings: DatabaseSettings, database: Database) -> None:
        self._settings = settings
        self._log = EventLog(database)
        self._feeds = Feeds()
        self._link = Link(self._follow, LOSSES)
        self.checks = (self._link,)

    async def publish(self, topic: TopicName, data: bytes) -> None:
        require_small(data)
        await self._log.append(topic, data)

    async def subscribe(self, topic: TopicName, sink: Sink, interrupted: Interrupted) -> Position:
        feed = self._feeds.join(topic, sink, interrupted)
        if feed.position is not None:
            return feed.position
        try:
            (head,) = await self._log.heads([topic])
        except BaseException:
            self._feeds.leave(topic, sink)
            raise
        return feed.begin(head)

    async def unsubscribe(self, topic: TopicName, sink: Sink) -> None:
        self._feeds.leave(topic, sink)

    async def replay(self, topic: TopicName, after: Position) -> Replay:
        return await self._log.replay(topic, after)

    async def heads(self, topics: Sequence[TopicName]) -> Sequence[Position]:
        return await self._log.heads(topics)

    async def run(self, stopping: asyncio.Event) -> None:
        """Deliver what is published anywhere, until told to stop."""
        await self._link.run(stopping)

    async def trim(self, stopping: asyncio.Event) -> None:
        """Forget old events; to be called every now and then."""
        await self._log.trim(stopping)

    async def _follow(self) -> None:
        async with listening(self._settings) as wakeups:
            await self._read(wakeups, self._feeds.topics)
            if self._link.connected():
                self._feeds.interrupt()
            while True:
                await self._read(wakeups, self._woken(await wakeups.next()))

    def _woken(self, heard: Sequence[Wakeup]) -> list[TopicName]:
        return [wakeup.topic for wakeup in heard if self._is_news(wakeup)]

    def _is_news(self, wakeup: Wakeup) -> bool:
        feed = self._feeds.get(wakeup.topic)
        if feed is None:
            return False
        if feed.position is None:
            feed.begin(wakeup.position)
        return not feed.has_reached(wakeup.position)

    async def _read(self, wakeups: Wakeups, topics: Sequence[TopicName]) -> None:
        """Deliver what the log has behind the places that `topics` have come to."""
        while known := self._places(topics):
            events = await wakeups.run(ReadEvents.behind(known))
            for event in events:
                self._feeds.tell(event.delivery)
            if len(events) < RETAINED_EVENTS:
                return

    def _places(self, topics: Sequence[TopicName]) -> dict[TopicName, Position]:
        feeds = {topic: feed for topic in topics if (feed := self._feeds.get(topic))}
        return {topic: feed.position for topic, feed in feeds.items() if feed.position}

"""Events between processes that share a PostgreSQL: nothing more to run."""

import asyncio
from collections.abc import Sequence

import psycopg

from platform_config import DatabaseSettings
from platform_domain.event_bus import Interrupted, Position, Replay, Sink
from platform_domain.events import TopicName
from platform_infrastructure.events.engine import EventEngine
from platform_infrastructure.events.event_log import EventLog, ReadEvents
from platform_infrastructure.events.feeds import Feeds
from platform_infrastructure.events.limits import RETAINED_EVENTS, require_small
from platform_infrastructure.events.link import Link
from platform_infrastructure.events.wakeups import Wakeup, Wakeups, listening
from platform_infrastructure.postgres.database import Database

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

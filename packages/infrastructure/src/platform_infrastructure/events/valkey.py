"""Events between machines that share a Valkey (or a Redis)."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from platform_domain.event_bus import Interrupted, Position, Replay, Sink
from platform_domain.events import TopicName
from platform_infrastructure.events.engine import EventEngine
from platform_infrastructure.events.feeds import Feeds
from platform_infrastructure.events.limits import require_small
from platform_infrastructure.events.link import Link
from platform_infrastructure.events.outbox import Outbox
from platform_infrastructure.events.relay import Relay
from platform_infrastructure.events.valkey_client import (
    LOSSES,
    TIMEOUT_SECONDS,
    ValkeyClient,
    reached,
)
from platform_infrastructure.events.valkey_log import ValkeyLog
from platform_infrastructure.events.valkey_subscriber import ValkeySubscriber
from platform_infrastructure.postgres.database import Database
from platform_infrastructure.postgres.transaction import after_commit, current_transaction


class ValkeyEventBus(EventEngine):
    """Publishes at once outside of a unit of work; inside of one, by an outbox that is part of it."""

    def __init__(self, url: str, database: Database) -> None:
        self.client = ValkeyClient(url)
        self._log = ValkeyLog(self.client)
        self._outbox = Outbox(database)
        self._relay = Relay(self._outbox, self._log)
        self._feeds = Feeds()
        self._subscriber = ValkeySubscriber(self.client)
        self._link = Link(self._follow, LOSSES)
        self.checks = (self._link,)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await self.client.close()

    async def publish(self, topic: TopicName, data: bytes) -> None:
        require_small(data)
        if current_transaction() is None:
            await self._log.append(topic, data)
            return
        await self._outbox.add(topic, data)
        after_commit(self._relay.wake)

    async def subscribe(self, topic: TopicName, sink: Sink, interrupted: Interrupted) -> Position:
        feed = self._feeds.join(topic, sink, interrupted)
        if feed.position is not None:
            return feed.position
        try:
            await self._ask_for(topic)
            (head,) = await self._log.heads([topic])
        except BaseException:
            await self.unsubscribe(topic, sink)
            raise
        return feed.begin(head)

    async def unsubscribe(self, topic: TopicName, sink: Sink) -> None:
        if self._feeds.leave(topic, sink):
            with suppress(*LOSSES):  # A connection that is lost is subscribed to nothing.
                await self._subscriber.unsubscribe(self._log.channel(topic))

    async def replay(self, topic: TopicName, after: Position) -> Replay:
        return await self._log.replay(topic, after)

    async def heads(self, topics: Sequence[TopicName]) -> Sequence[Position]:
        return await self._log.heads(topics)

    async def run(self, stopping: asyncio.Event) -> None:
        """Deliver what is published anywhere, until told to stop."""
        await self._link.run(stopping)

    async def relay(self, stopping: asyncio.Event) -> None:
        """Bring what units of work have published, until told to stop."""
        await self._relay.run(stopping)

    async def _ask_for(self, topic: TopicName) -> None:
        with reached():
            async with asyncio.timeout(TIMEOUT_SECONDS):
                await self._link.wait()
                await self._subscriber.subscribe(self._log.channel(topic))

    async def _follow(self) -> None:
        async with self._subscriber.connected():
            await self._subscriber.ask_for(
                [self._log.channel(topic) for topic in self._feeds.topics]
            )
            self._link.connected()
            while True:
                self._hear(*await self._subscriber.next())

    def _hear(self, channel: str, message: bytes | None) -> None:
        feed = self._feeds.get(self._log.topic(channel))
        if feed is None:
            return  # It was on its way when the last listener left.
        if message is not None:
            feed.tell(self._log.delivery(channel, message))
        elif feed.position is not None:
            feed.interrupt()

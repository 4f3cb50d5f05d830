"""Events between machines that share a Valkey (or a Redis)."""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from valkey import exceptions
from valkey.asyncio import Connection

from platform_domain.event_bus import Interrupted, Position, Replay, Sink
from platform_domain.events import TopicName
from platform_infrastructure.events.engine import EventEngine, Feeds, require_small
from platform_infrastructure.events.link import Link
from platform_infrastructure.events.valkey.client import (
    LOSSES,
    TIMEOUT_SECONDS,
    ValkeyClient,
    reached,
)
from platform_infrastructure.events.valkey.log import ValkeyLog
from platform_infrastructure.events.valkey.outbox import OutboxTable, Relay
from platform_infrastructure.postgres.database import Database
from platform_infrastructure.postgres.transaction import after_commit, current_transaction

QUIET_SECONDS = 5.0
"""After so long without a word we ask whether the server is still there."""


class ValkeySubscriber:
    """Uses the current connection. Without one, or when it is lost, its methods raise the
    client's `ConnectionError`."""

    def __init__(self, client: ValkeyClient) -> None:
        self._client = client
        self._connection: Connection | None = None
        # The server confirms in order, so the first future of a channel is the confirmed one.
        self._unconfirmed: defaultdict[str, deque[asyncio.Future[None]]] = defaultdict(deque)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        async with self._client.connection() as connection:
            self._connection = connection
            try:
                yield
            finally:
                self._connection = None
                self._unconfirmed.clear()

    async def subscribe(self, channel: str) -> None:
        """Return when `next` has received the confirmation. Never returns if the connection is
        lost before."""
        (confirmed,) = await self.ask_for([channel])
        await confirmed

    async def ask_for(self, channels: Sequence[str]) -> list[asyncio.Future[None]]:
        """Subscribe without waiting; each future completes when its channel is confirmed."""
        self._require_connection()
        loop = asyncio.get_running_loop()
        asked = [loop.create_future() for _ in channels]
        for channel, confirmed in zip(channels, asked, strict=True):
            self._unconfirmed[channel].append(confirmed)
        if channels:
            await self._send("SUBSCRIBE", *channels)
        return asked

    async def unsubscribe(self, channel: str) -> None:
        await self._send("UNSUBSCRIBE", channel)

    async def next(self) -> tuple[str, bytes | None]:
        """Wait for the next message and return its channel and data. Data None confirms the
        channel: after that, no message is missed."""
        while True:
            match await self._reply():
                case [b"message", channel, data]:
                    return channel.decode(), data
                case [b"subscribe", channel, _]:
                    self._confirm(channel.decode())
                    return channel.decode(), None

    async def _reply(self) -> Any:
        connection = self._require_connection()
        reply = await connection.read_response(timeout=QUIET_SECONDS)
        if reply is None:
            # Without a PING, a vanished server would be noticed only when TCP gives up.
            await self._send("PING")
            reply = await connection.read_response(timeout=TIMEOUT_SECONDS)
        if reply is None:
            raise exceptions.TimeoutError("the server is silent")
        return reply

    async def _send(self, *command: str) -> None:
        connection = self._require_connection()
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await connection.send_command(*command)

    def _require_connection(self) -> Connection:
        # The client would reconnect silently, without subscribing to the channels again.
        if self._connection is None or not self._connection.is_connected:
            raise exceptions.ConnectionError("there is no connection")
        return self._connection

    def _confirm(self, channel: str) -> None:
        waiting = self._unconfirmed[channel]
        confirmed = waiting.popleft()
        if not confirmed.done():  # The caller may have stopped waiting.
            confirmed.set_result(None)
        if not waiting:
            del self._unconfirmed[channel]


class ValkeyEventBus(EventEngine):
    """Publishes at once outside of a unit of work, and through an outbox inside of one."""

    def __init__(self, url: str, database: Database) -> None:
        self.client = ValkeyClient(url)
        self._log = ValkeyLog(self.client)
        self._outbox = OutboxTable(database)
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
            with suppress(*LOSSES):  # A lost connection has no subscriptions.
                await self._subscriber.unsubscribe(self._log.channel(topic))

    async def replay(self, topic: TopicName, after: Position) -> Replay:
        return await self._log.replay(topic, after)

    async def heads(self, topics: Sequence[TopicName]) -> Sequence[Position]:
        return await self._log.heads(topics)

    async def run(self, stopping: asyncio.Event) -> None:
        """Deliver the events of all nodes until `stopping` is set."""
        await self._link.run(stopping)

    async def relay(self, stopping: asyncio.Event) -> None:
        """Relay the events of units of work until `stopping` is set."""
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
            return  # It was in transit when the last listener left.
        if message is not None:
            feed.tell(self._log.delivery(channel, message))
        elif feed.position is not None:
            feed.interrupt()

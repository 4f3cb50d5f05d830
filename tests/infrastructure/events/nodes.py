"""Engines as a server runs them, and somebody who listens."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from platform_domain.event_bus import Delivery, Position
from platform_domain.events import TopicName
from platform_domain.unit_of_work import UnitOfWork
from platform_infrastructure.events.engine import EventEngine
from platform_infrastructure.events.memory import MemoryEventBus
from platform_infrastructure.events.postgres import PostgresEventBus
from platform_infrastructure.events.valkey.bus import ValkeyEventBus
from platform_infrastructure.postgres.database import Database, PostgresUnitOfWork
from tests.infrastructure.postgres.connections import opened, settings_for

PATIENCE_SECONDS = 10.0
Work = Callable[[asyncio.Event], Awaitable[None]]


@dataclass(frozen=True)
class Node:
    """One process, as far as events are concerned."""

    bus: EventEngine
    database: Database
    unit_of_work: UnitOfWork


class Site(Protocol):
    """Where nodes of one engine meet."""

    def node(self) -> AbstractAsyncContextManager[Node]: ...


class MemorySite(Site):
    """There is one process, so all nodes are the same."""

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        self._bus = MemoryEventBus()

    @asynccontextmanager
    async def node(self) -> AsyncIterator[Node]:
        async with opened(self._url) as connections:
            yield Node(self._bus, Database(connections), PostgresUnitOfWork(connections))


class PostgresSite(Site):
    def __init__(self, database_url: str) -> None:
        self._url = database_url

    @asynccontextmanager
    async def node(self) -> AsyncIterator[Node]:
        async with opened(self._url) as connections:
            database = Database(connections)
            bus = PostgresEventBus(settings_for(self._url), database)
            async with running(bus, bus.run):
                yield Node(bus, database, PostgresUnitOfWork(connections))


class ValkeySite(Site):
    def __init__(self, database_url: str, valkey_url: str) -> None:
        self._url = database_url
        self._valkey_url = valkey_url

    @asynccontextmanager
    async def node(self) -> AsyncIterator[Node]:
        async with opened(self._url) as connections:
            database = Database(connections)
            bus = ValkeyEventBus(self._valkey_url, database)
            async with running(bus, bus.run, bus.relay):
                yield Node(bus, database, PostgresUnitOfWork(connections))


@asynccontextmanager
async def running(bus: EventEngine, *work: Work) -> AsyncIterator[None]:
    stopping = asyncio.Event()
    async with bus.opened():
        tasks = [asyncio.ensure_future(each(stopping)) for each in work]
        try:
            yield
        finally:
            stopping.set()
            async with asyncio.timeout(PATIENCE_SECONDS):
                await asyncio.gather(*tasks)


class Listener:
    """Hears a topic and waits, within bounds, for what it expects."""

    def __init__(self, bus: EventEngine, topic: TopicName) -> None:
        self._bus = bus
        self.topic = topic
        self.heard: list[Delivery] = []
        self.interruptions = 0
        self._news = asyncio.Event()

    async def subscribe(self) -> Position:
        return await self._bus.subscribe(self.topic, self.hear, self.interrupt)

    async def unsubscribe(self) -> None:
        await self._bus.unsubscribe(self.topic, self.hear)

    def hear(self, delivery: Delivery) -> None:
        self.heard.append(delivery)
        self._news.set()

    def interrupt(self) -> None:
        self.interruptions += 1
        self._news.set()

    @property
    def data(self) -> Sequence[bytes]:
        return [delivery.data for delivery in self.heard]

    @property
    def offsets(self) -> Sequence[int]:
        return [delivery.position.offset for delivery in self.heard]

    async def hears(self, count: int) -> Sequence[bytes]:
        """Return what was heard once it is that much."""
        await self.until(lambda: len(self.heard) >= count)
        return self.data

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not true():
                self._news.clear()
                await self._news.wait()


async def eventually(true: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
    """Return as soon as something is true of which no event tells."""
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.01)

"""Hears from PostgreSQL that there are new events (LISTEN), on a connection of its own.

One channel carries a line for each event: its number, epoch and topic. The event itself is read
from the log, so it may be larger than the 8,000 bytes of a notification, and a notification that
was lost with its connection is made up for by reading.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self, TypeVar

from psycopg import AsyncConnection

from platform_config import DatabaseSettings
from platform_domain.event_bus import Position
from platform_domain.events import TopicName
from platform_infrastructure.postgres.bounded import bounded
from platform_infrastructure.postgres.connect import connect_directly, require_writes
from platform_infrastructure.postgres.query import Query

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
        # A pool that is exhausted must not keep events from those who listen.
        self._bound = statement_timeout + 1.0

    async def next(self) -> list[Wakeup]:
        """Wait for wake-ups and return all that came together."""
        while True:
            notifies = self._connection.notifies(timeout=QUIET_SECONDS, stop_after=1)
            if heard := [Wakeup.read(notify.payload) async for notify in notifies]:
                return heard
            # A server that vanished without a word would be waited for until TCP gives up, and an
            # old primary that became read-only for ever: events are written on the new one.
            await require_writes(self._connection, PING_SECONDS)

    async def run(self, query: Query[T]) -> T:
        return await bounded(self._connection, query.execute(self._connection), self._bound)


@asynccontextmanager
async def listening(settings: DatabaseSettings) -> AsyncIterator[Wakeups]:
    """Listen on a connection of its own.

    Raises `ReadOnly`, among psycopg's errors, where the address leads to a server without writes.
    """
    connection = await connect_directly(settings)
    try:
        await require_writes(connection, PING_SECONDS)
        await bounded(connection, connection.execute(LISTEN), PING_SECONDS)
        yield Wakeups(connection, settings.statement_timeout)
    finally:
        await connection.close()

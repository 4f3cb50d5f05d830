"""The only way to PostgreSQL: run a query, alone or inside a unit of work."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from platform_domain.errors import Contended, OutcomeUnknown
from platform_domain.unit_of_work import UnitOfWork
from platform_infrastructure.postgres.connections import ConnectionLost, Connections
from platform_infrastructure.postgres.errors import translated
from platform_infrastructure.postgres.statement import only_reads
from platform_infrastructure.postgres.transaction import begun, current_transaction
from platform_queries import Query

T = TypeVar("T")

ATTEMPTS = 10
BACKOFF_SECONDS = 0.01
BACKOFF_MAX_SECONDS = 0.5


class Database:
    """Runs queries: inside the caller's unit of work when there is one, else on their own."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def run(self, query: Query[T]) -> T:
        """Return what the query's class says: a row, a row or None, a list, or a count.

        Raises the errors named by the query's `raises`, `InvalidInput`, `Conflict`,
        `Unavailable`, or `OutcomeUnknown` when the connection was lost under a write, which is
        never repeated; `RowCountError` when a `One` or `Maybe` found too many or too few rows.
        """
        transaction = current_transaction()
        if transaction is not None:
            return await transaction.run(query)
        with translated(query):
            try:
                return await self._once(query)
            except ConnectionLost as error:
                return await self._after_loss(query, error)

    async def _once(self, query: Query[T]) -> T:
        async with self._connections.lend(type(query).__module__) as connection:
            return await self._connections.ask(connection, query.execute(connection))

    async def _after_loss(self, query: Query[T], error: ConnectionLost) -> T:
        if not only_reads(query.sql):
            raise OutcomeUnknown from error
        return await self._once(query)


class PostgresUnitOfWork(UnitOfWork):
    """Begins, runs, commits; repeats the whole work on serialization failure and deadlock."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def run(self, work: Callable[[], Awaitable[T]], *, serializable: bool = False) -> T:
        outer = current_transaction()
        if outer is not None:
            if serializable and not outer.serializable:
                raise RuntimeError("The unit of work that this one joins is not serializable.")
            return await work()
        for attempt in range(1, ATTEMPTS):
            try:
                return await self._once(work, serializable=serializable)
            except Contended:
                await asyncio.sleep(_pause(attempt))
        return await self._once(work, serializable=serializable)

    async def _once(self, work: Callable[[], Awaitable[T]], *, serializable: bool) -> T:
        async with begun(self._connections, serializable=serializable):
            return await work()


def _pause(attempt: int) -> float:
    return random.uniform(0, min(BACKOFF_MAX_SECONDS, BACKOFF_SECONDS * 2**attempt))  # noqa: S311

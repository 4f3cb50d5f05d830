"""The only way to PostgreSQL: run a query, alone or inside a unit of work."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeVar

from psycopg import AsyncConnection

from platform_domain.errors import DomainError
from platform_domain.unit_of_work import UnitOfWork
from platform_infrastructure.postgres.errors import Contended, translated
from platform_infrastructure.postgres.pool import Pool
from platform_infrastructure.postgres.query import Query

T = TypeVar("T")

ATTEMPTS = 6
BACKOFF_SECONDS = 0.01
BACKOFF_MAX_SECONDS = 0.5


@dataclass(eq=False)
class Transaction:
    """One open transaction. It belongs to the task that began it."""

    connection: AsyncConnection[Any]
    owner: asyncio.Task[Any] | None
    raises: dict[str, type[DomainError]] = field(default_factory=dict)
    open: bool = True

    async def run(self, query: Query[T]) -> T:
        if not self.open:
            raise RuntimeError("This unit of work has ended; run the query inside it.")
        if asyncio.current_task() is not self.owner:
            raise RuntimeError("A unit of work belongs to the task that began it.")
        # A deferred constraint speaks at COMMIT, when no single query is running.
        self.raises.update(query.raises)
        with translated(query.raises):
            return await query.execute(self.connection)


_transaction: ContextVar[Transaction | None] = ContextVar("transaction", default=None)


class Database:
    """Runs queries: inside the caller's unit of work when there is one, else on their own."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def run(self, query: Query[T]) -> T:
        """Return what the query's class says: a row, a row or None, a list, or a count.

        Raises the errors named by the query's `raises`, `InvalidInput`, `Conflict` or
        `Unavailable`; `RowCountError` when a `One` or `Maybe` found too many or too few rows.
        """
        transaction = _transaction.get()
        if transaction is not None:
            return await transaction.run(query)
        with translated(query.raises):
            async with self._pool.connection() as connection:
                return await query.execute(connection)


class PostgresUnitOfWork(UnitOfWork):
    """Begins, runs, commits; repeats the whole work on serialization failure and deadlock."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def run(self, work: Callable[[], Awaitable[T]]) -> T:
        if _transaction.get() is not None:
            return await work()
        for attempt in range(1, ATTEMPTS):
            try:
                return await self._once(work)
            except Contended:
                await asyncio.sleep(_pause(attempt))
        return await self._once(work)

    async def _once(self, work: Callable[[], Awaitable[T]]) -> T:
        raises: dict[str, type[DomainError]] = {}
        with translated(raises):
            async with self._pool.connection() as connection, connection.transaction():
                return await _inside(Transaction(connection, asyncio.current_task(), raises), work)


async def _inside(transaction: Transaction, work: Callable[[], Awaitable[T]]) -> T:
    token = _transaction.set(transaction)
    try:
        return await work()
    finally:
        transaction.open = False
        _transaction.reset(token)


def _pause(attempt: int) -> float:
    return random.uniform(0, min(BACKOFF_MAX_SECONDS, BACKOFF_SECONDS * 2**attempt))  # noqa: S311

"""The transaction that the current task works in, if any."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from contextvars import ContextVar
from typing import TypeVar

import psycopg

from platform_domain.errors import OutcomeUnknown
from platform_infrastructure.postgres.connections import ConnectionLost, Connections
from platform_infrastructure.postgres.errors import translated
from platform_infrastructure.postgres.pool import Connection
from platform_queries import Query

T = TypeVar("T")

BEGIN = {False: b"BEGIN", True: b"BEGIN ISOLATION LEVEL SERIALIZABLE"}


class Transaction:
    """One transaction. It belongs to the task that began it, and begins with its first query."""

    def __init__(self, connections: Connections, *, serializable: bool) -> None:
        self.serializable = serializable
        self._connections = connections
        self._owner = asyncio.current_task()
        self._lent = AsyncExitStack()
        self._connection: Connection | None = None
        self._raises: dict[str, type[Exception]] = {}
        self._failure: Exception | None = None
        self._after_commit: list[Callable[[], None]] = []
        self._ended = False

    async def run(self, query: Query[T]) -> T:
        self._require_use()
        # A deferred constraint speaks at COMMIT, when no single query is running.
        self._raises.update(query.raises)
        try:
            with translated(query):
                connection = self._connection or await self._begin(query)
                return await self._connections.ask(connection, query.execute(connection))
        except Exception as error:
            self._failure = self._failure or error
            raise

    def after_commit(self, callback: Callable[[], None]) -> None:
        self._require_use()
        self._after_commit.append(callback)

    async def commit(self) -> None:
        """Keep everything. Raises the error of a query that failed, whatever became of it since:
        PostgreSQL keeps nothing then, and answers a COMMIT with a silent ROLLBACK."""
        if self._failure is not None:
            raise self._failure
        if self._connection is not None:
            with translated(raises=self._raises):
                await self._commit(self._connection)

    def told(self) -> None:
        """Call what waits for the commit."""
        for callback in self._after_commit:
            callback()

    async def end(self) -> None:
        """Give the connection back, rolled back unless it was committed."""
        self._ended = True
        async with self._lent:
            if self._connection is not None and not self._connection.closed:
                await self._roll_back(self._connection)

    async def _begin(self, query: Query[T]) -> Connection:
        module = type(query).__module__
        try:
            return await self._begin_on_any(module)
        except ConnectionLost:
            # Nothing was done on it, and the pool has replaced those that were lost with it.
            return await self._begin_on_any(module)

    async def _begin_on_any(self, module: str) -> Connection:
        async with AsyncExitStack() as lent:
            connection = await lent.enter_async_context(self._connections.lend(module))
            await self._connections.ask(connection, connection.execute(BEGIN[self.serializable]))
            self._connection, self._lent = connection, lent.pop_all()
        return connection

    async def _commit(self, connection: Connection) -> None:
        try:
            await self._connections.ask(connection, connection.execute(b"COMMIT"))
        except ConnectionLost as error:
            raise OutcomeUnknown from error

    async def _roll_back(self, connection: Connection) -> None:
        if connection.info.transaction_status is psycopg.pq.TransactionStatus.IDLE:
            return
        with suppress(psycopg.Error):  # A connection that is lost has rolled back by that.
            await self._connections.ask(connection, connection.execute(b"ROLLBACK"))

    def _require_use(self) -> None:
        if self._ended:
            raise RuntimeError("This unit of work has ended; run the query inside it.")
        if asyncio.current_task() is not self._owner:
            raise RuntimeError("A unit of work belongs to the task that began it.")
        if self._failure is not None:
            raise self._failure


_current: ContextVar[Transaction | None] = ContextVar("transaction", default=None)


def current_transaction() -> Transaction | None:
    return _current.get()


def after_commit(callback: Callable[[], None]) -> None:
    """Call `callback` when the current transaction has committed; at once when there is none."""
    transaction = current_transaction()
    if transaction is None:
        callback()
    else:
        transaction.after_commit(callback)


@asynccontextmanager
async def begun(connections: Connections, *, serializable: bool) -> AsyncIterator[None]:
    """Give the current task a transaction; commit at the end, roll back on an error."""
    transaction = Transaction(connections, serializable=serializable)
    token = _current.set(transaction)
    try:
        yield
        await transaction.commit()
    finally:
        _current.reset(token)
        await transaction.end()
    transaction.told()

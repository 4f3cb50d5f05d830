"""Connections to PostgreSQL: how one is made, and the pool that keeps some."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import psycopg
from loguru import logger
from psycopg import AsyncConnection, ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool, PoolClosed

from platform_config import DatabaseSettings
from platform_config.database import SHAPE, names_a_server
from platform_domain.startup import StartupError
from platform_infrastructure.postgres.bounded import bounded, break_off
from platform_infrastructure.postgres.breaker import Breaker
from platform_infrastructure.postgres.rows import ADAPTERS

CHECK_SECONDS = 1.0
CANCEL_SECONDS = 0.5
CHECK_AFTER_IDLE_SECONDS = 5.0
# The default, 300, lets failed attempts sleep on long after the server is back.
RECONNECT_SECONDS = 2.0
WAITING_PER_CONNECTION = 10


class Connection(AsyncConnection[TupleRow]):
    """Remembers when it was made and when it was last used (`time.monotonic`)."""

    made_at: float = 0.0
    used_at: float = 0.0

    async def cancel_safe(self, *, timeout: float = 30.0) -> None:
        """Ask the server to cancel; where it does not take the request, break the connection.

        psycopg calls this when a task is cancelled, and then waits for the statement's end: five
        seconds each, which is too long for a request that has ended.
        """
        try:
            await super().cancel_safe(timeout=min(timeout, CANCEL_SECONDS))
        except psycopg.Error:
            break_off(self)
            raise


class Pool(AsyncConnectionPool[Connection]):
    """A pool that cannot hang on a silent server.

    Only connections that were idle for long are checked when they are taken out: a round trip each
    time would double the cost of a read. While the breaker is open nothing is connected, and the
    `busy` connections are broken off. Nothing is connected at all until the pool is opened.
    """

    def __init__(self, settings: DatabaseSettings, breaker: Breaker) -> None:
        self.busy: set[Connection] = set()
        self._parameters = connection_parameters(settings) | {"autocommit": True}
        self._renewed_at = 0.0
        self._leaving = False
        self._may_connect = asyncio.Event()
        self._may_connect.set()
        breaker.on_open(self._may_connect.clear)
        breaker.on_open(self._break_off_busy)
        breaker.on_close(self._may_connect.set)
        super().__init__(
            connection_class=Connection,
            kwargs=self._when_sensible,
            min_size=settings.pool_min_size,
            max_size=settings.pool_max_size,
            max_waiting=WAITING_PER_CONNECTION * settings.pool_max_size,
            timeout=settings.pool_timeout,
            reconnect_timeout=RECONNECT_SECONDS,
            reconnect_failed=_report,
            check=self._check_if_idle,
            configure=_mark_made,
            name="database",
            open=False,
        )

    async def renew(self, lost: Connection) -> None:
        """Replace the connections that are as old as the one `lost`: they are likely to be lost too."""
        if lost.made_at >= self._renewed_at:
            self._renewed_at = time.monotonic()
            await self.drain()

    async def close(self, timeout: float = 5.0) -> None:
        self._leaving = True
        self._may_connect.set()
        await super().close(timeout)

    async def _when_sensible(self) -> dict[str, Any]:
        """Return the parameters of the next connection as soon as there is a server to talk to."""
        await self._may_connect.wait()
        if self._leaving:
            raise PoolClosed("the pool is closing")
        return self._parameters

    async def _check_if_idle(self, connection: Connection) -> None:
        if time.monotonic() - connection.used_at < CHECK_AFTER_IDLE_SECONDS:
            return
        self.busy.add(connection)
        try:
            await bounded(connection, self.check_connection(connection), CHECK_SECONDS)
        except psycopg.Error:
            await self.renew(connection)
            raise
        finally:
            self.busy.discard(connection)

    def _break_off_busy(self) -> None:
        for connection in self.busy:
            break_off(connection)


async def _mark_made(connection: Connection) -> None:
    connection.made_at = connection.used_at = time.monotonic()


def connection_parameters(settings: DatabaseSettings) -> dict[str, Any]:
    """Return psycopg's parameters: our bounds, and over them what DATABASE_URL says itself.

    Both TCP bounds are needed: keepalives notice a dead peer while we wait for an answer,
    tcp_user_timeout while something we sent is not acknowledged.
    """
    given = parsed(database_url(settings))
    ours: Mapping[str, Any] = {
        "application_name": "platform",
        "connect_timeout": max(1, round(settings.connect_timeout)),
        "keepalives": 1,
        "keepalives_idle": 10,
        "keepalives_interval": 3,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
    }
    options = f"{_options(settings)} {given.pop('options', None) or ''}".strip()
    threshold = {} if settings.prepared_statements == "auto" else {"prepare_threshold": None}
    return {**ours, **given, "options": options, "context": ADAPTERS, **threshold}


def parsed(url: str) -> dict[str, Any]:
    """Return libpq's parameters in `url`. Raises `StartupError`, which repeats no part of it.

    Every connection is made from these: libpq's own errors would name parts of a wrong URL.
    """
    if not names_a_server(url):
        raise StartupError(f"The URL of a database must be {SHAPE}.")
    try:
        return dict(conninfo_to_dict(url))
    except ProgrammingError:
        raise StartupError(
            "A URL of PostgreSQL (DATABASE_URL, DATABASE_DIRECT_URL) cannot be read by its client:"
            " look for a misspelt parameter behind the question mark."
        ) from None


def database_url(settings: DatabaseSettings) -> str:
    if settings.url is None:
        raise ValueError("DATABASE_URL is not set")
    return str(settings.url.get_secret_value())


def direct_url(settings: DatabaseSettings) -> str:
    """Return the URL that leads past a pooler: for migrations, LISTEN and advisory locks."""
    if settings.direct_url is None:
        return database_url(settings)
    return str(settings.direct_url.get_secret_value())


def _options(settings: DatabaseSettings) -> str:
    milliseconds = {
        "statement_timeout": settings.statement_timeout,
        "lock_timeout": settings.lock_timeout,
        "idle_in_transaction_session_timeout": 2 * settings.statement_timeout,
    }
    bounds = [f"-c {name}={round(seconds * 1000)}" for name, seconds in milliseconds.items()]
    return " ".join([*bounds, "-c timezone=UTC"])


async def _report(pool: AsyncConnectionPool[Any]) -> None:
    logger.warning("PostgreSQL cannot be reached; the pool keeps trying.", pool=pool.name)

"""Connections to PostgreSQL: how one is made, and the pool that keeps some."""

from collections.abc import Mapping
from typing import Any

from loguru import logger
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool

from platform_config import DatabaseSettings
from platform_infrastructure.postgres.bounded import bounded

CHECK_SECONDS = 1.0
RECONNECT_SECONDS = 5.0  # The default, 300, lets attempts sleep on long after the server is back.
WAITING_PER_CONNECTION = 4


class Pool(AsyncConnectionPool[AsyncConnection[TupleRow]]):
    """A pool whose check of idle connections cannot hang on a silent server."""

    @staticmethod
    async def check_connection(conn: AsyncConnection[Any]) -> None:
        await bounded(conn, AsyncConnectionPool.check_connection(conn), CHECK_SECONDS)


def create_pool(settings: DatabaseSettings) -> Pool:
    """Describe the pool; nothing is connected until it is opened."""
    return Pool(
        kwargs=connection_parameters(settings) | {"autocommit": True},
        min_size=settings.pool_min_size,
        max_size=settings.pool_max_size,
        max_waiting=WAITING_PER_CONNECTION * settings.pool_max_size,
        timeout=settings.pool_timeout,
        reconnect_timeout=RECONNECT_SECONDS,
        reconnect_failed=_report,
        name="database",
        open=False,
    )


def connection_parameters(settings: DatabaseSettings) -> dict[str, Any]:
    """Return libpq's parameters: our bounds, and over them what DATABASE_URL says itself.

    Both TCP bounds are needed: keepalives notice a dead peer while we wait for an answer,
    tcp_user_timeout while something we sent is not acknowledged.
    """
    given = conninfo_to_dict(database_url(settings))
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
    return {**ours, **given, "options": options}


def database_url(settings: DatabaseSettings) -> str:
    if settings.url is None:
        raise ValueError("DATABASE_URL is not set")
    return settings.url.get_secret_value()


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

"""Replaces a development database with an empty one that has all migrations."""

from typing import Any, LiteralString
from urllib.parse import quote

import psycopg
from psycopg import AsyncConnection, sql
from pydantic import SecretStr

from platform_config import DatabaseSettings
from platform_domain.startup import StartupError
from platform_infrastructure.postgres.connect import (
    cause,
    connect_unbounded,
    place,
    wait_for_database,
)
from platform_infrastructure.postgres.parameters import direct_url
from platform_infrastructure.postgres.start import migrated

DROP: LiteralString = "DROP DATABASE IF EXISTS {} WITH (FORCE)"
RENAME: LiteralString = "ALTER DATABASE {} RENAME TO {}"
END_SESSIONS = b"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
NAME_AND_OWNER = """
    SELECT datname, pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()
"""


async def rebuild(settings: DatabaseSettings) -> list[str]:
    """Rebuild the database and return the names of its migrations.

    The new database is complete before the old one is dropped and the new one gets its name.
    Sessions on the old one are ended. If it raises `StartupError`, the old one is unchanged.
    """
    await wait_for_database(settings)
    try:
        return await _replace(settings)
    except psycopg.Error as error:
        raise StartupError(f"{place(settings)} cannot be rebuilt: {cause(error)}.") from error


async def _replace(settings: DatabaseSettings) -> list[str]:
    url = direct_url(settings)
    async with await connect_unbounded(url) as connection:
        cursor = await connection.execute(NAME_AND_OWNER)
        [(old, owner)] = await cursor.fetchall()
    new = f"{old[:40]}_platform_reset"
    other = _naming("template1" if old == "postgres" else "postgres", url)
    async with await connect_unbounded(other) as server:
        await _run(server, DROP, new)
        await _run(server, "CREATE DATABASE {} OWNER {}", new, owner)
        try:
            there = settings.model_copy(update={"direct_url": SecretStr(_naming(new, url))})
            names = await migrated(there, development=True)
            await swap(server, old, new)
        finally:
            await _run(server, DROP, new)
    return names


async def swap(server: AsyncConnection[Any], old: str, new: str) -> None:
    """Give `new` the name `old`. The old database is dropped last, so that a failure loses nothing."""
    aside = f"{old[:40]}_platform_old"
    await _run(server, DROP, aside)
    await server.execute(END_SESSIONS, (old,))
    await _run(server, RENAME, old, aside)
    try:
        await _run(server, RENAME, new, old)
    except BaseException:
        await _run(server, RENAME, aside, old)
        raise
    await _run(server, DROP, aside)


def _naming(database: str, url: str) -> str:
    """Return `url` with another database. A parameter overrides the path and earlier ones."""
    return f"{url}{'&' if '?' in url else '?'}dbname={quote(database, safe='')}"


async def _run(server: AsyncConnection[Any], statement: LiteralString, *names: str) -> None:
    await server.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))

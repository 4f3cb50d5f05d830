"""Opens single connections and checks that our code can work with the server."""

import asyncio
from collections.abc import Mapping
from typing import Any

import psycopg
from loguru import logger
from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_before_delay,
    wait_random_exponential,
)

from platform_config import DatabaseSettings
from platform_domain.startup import StartupError
from platform_infrastructure.postgres.bounded import NoAnswer, bounded
from platform_infrastructure.postgres.parameters import (
    SEARCH_PATH,
    SESSION,
    connection_parameters,
    database_url,
    direct_url,
    parameters_at,
    parsed,
)

# PostgreSQL gives no SQLSTATE to the client when a connection is refused, only the text of its
# message, which `lc_messages` may translate: an unknown text is worth another attempt.
HOPELESS = (
    "password authentication failed",
    "no password supplied",
    "does not exist",
    "no pg_hba.conf entry",
    "server does not support SSL",
    "certificate verify failed",
    "invalid port number",
    "invalid sslmode value",
    "SASL authentication failed",  # PgBouncer's words, and the next as well.
    "unsupported startup parameter",
)
CHECK = " Check DATABASE_URL and that the server is running."
PREPARE_SECONDS = 3.0
EXPECTED = {**SESSION, **SEARCH_PATH, "TimeZone": "UTC", "DateStyle": "ISO, MDY"}
READ_ONLY = "default_transaction_read_only"
OF_ROLE = ("database", "user", "database user")
"""Sources in `pg_settings` of what ALTER ROLE and ALTER DATABASE have set."""


class UnfitDatabase(psycopg.OperationalError):
    """The database, or a pooler in front of it, must be changed first. The text says how."""


class ReadOnly(psycopg.OperationalError):
    """The server does not accept writes: it is a standby or a read-only primary."""


async def wait_for_database(settings: DatabaseSettings) -> None:
    """Return once a connection succeeds; raise `StartupError` after the deadline.

    Logs one line per attempt with the cause. Permanent errors (a wrong password, a missing
    database, a URL that PostgreSQL's client cannot parse) are not retried.
    """
    parsed(direct_url(settings))
    attempts = AsyncRetrying(
        stop=stop_before_delay(settings.connect_deadline),
        wait=wait_random_exponential(multiplier=0.2, max=5),
        retry=retry_if_exception(_may_pass),
        before_sleep=_report,
        reraise=True,
    )
    try:
        async for attempt in attempts:
            with attempt:
                connection = await connect(settings)
                await connection.close()
    except psycopg.Error as error:
        check = "" if isinstance(error, UnfitDatabase) else CHECK
        raise StartupError(
            f"PostgreSQL at {place(settings)} cannot be used: {cause(error)}.{check}"
        ) from error


async def connect(
    settings: DatabaseSettings, seconds: float | None = None
) -> AsyncConnection[TupleRow]:
    """Open one connection outside the pool, in autocommit.

    Raises `NoAnswer` after `seconds`, and `UnfitDatabase`.
    """
    try:
        async with asyncio.timeout(seconds):
            connection = await AsyncConnection.connect(**connection_parameters(settings))
    except TimeoutError:
        raise NoAnswer(f"no connection within {seconds:.2g} s") from None
    return await _prepared(connection, seconds or PREPARE_SECONDS)


async def connect_unbounded(url: str) -> AsyncConnection[TupleRow]:
    """Open a connection in autocommit without time limits. Raises `UnfitDatabase`."""
    connection = await AsyncConnection.connect(**parameters_at(url))
    return await _prepared(connection, PREPARE_SECONDS)


async def prepare(connection: AsyncConnection[Any], seconds: float = PREPARE_SECONDS) -> None:
    """Check the encoding and the settings of a new connection.

    If a role or a database is read-only by default (`ALTER ROLE ... SET`), this connection can
    write anyway. If the server is read-only by its configuration, it cannot: this is how an old
    primary is protected from writes after a failover. Raises `UnfitDatabase`, and `NoAnswer` after
    `seconds`.

    """
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise UnfitDatabase(
            f"the encoding of the database is {encoding}, and it must be UTF8: create one with"
            " CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0"
        )
    found = await bounded(connection, _settings(connection), seconds)
    wrong = {READ_ONLY: "off"} if found[READ_ONLY] in [("on", source) for source in OF_ROLE] else {}
    if found["bytea_output"][1] != "client":
        _require_expected(found, wrong, connection.info.user)
    elif wrong:
        await bounded(connection, connection.execute(f"SET {READ_ONLY} = off".encode()), seconds)


async def require_writes(connection: AsyncConnection[Any], seconds: float) -> None:
    """Raise `ReadOnly` if the server does not accept writes, or `NoAnswer` after `seconds`."""
    asking = connection.execute(
        "SELECT pg_is_in_recovery(), current_setting('transaction_read_only') = 'on'"
    )
    row = await (await bounded(connection, asking, seconds)).fetchone()
    is_standby, is_read_only = row or (False, False)
    if is_standby:
        raise ReadOnly("the server takes no writes: it is a standby")
    if is_read_only:
        raise ReadOnly(f"the server takes no writes: {READ_ONLY} is on")


async def connect_directly(settings: DatabaseSettings) -> AsyncConnection[TupleRow]:
    """Open one connection that bypasses a pooler, which would share it with other clients."""
    direct = settings.model_copy(update={"url": settings.direct_url or settings.url})
    return await connect(direct)


def place(settings: DatabaseSettings) -> str:
    """Say which server is meant, without user and password."""
    given = parsed(database_url(settings))
    host, port = given.get("host") or "localhost", given.get("port") or 5432
    return f"{host}:{port}/{given.get('dbname') or given.get('user') or 'postgres'}"


def cause(error: BaseException) -> str:
    """Return the first line of an error's text, or its class where it has none."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


def failure(error: BaseException) -> str:
    """Return the kind of failure for the report of a health check.

    The error text may contain a role, a host or a file, so only the log has it.
    """
    if isinstance(error, NoAnswer):
        kind = "no answer within the time limit"
    elif "refused" in str(error):
        kind = "connection refused"
    elif isinstance(error, UnfitDatabase):
        kind = "the database has another encoding or other settings than we need"
    elif any(text in str(error) for text in HOPELESS):
        kind = "the server rejects our credentials or settings"
    else:
        kind = "cannot be reached or used"
    return f"{kind} ({type(error).__name__})"


async def _prepared(
    connection: AsyncConnection[TupleRow], seconds: float
) -> AsyncConnection[TupleRow]:
    try:
        await prepare(connection, seconds)
    except BaseException:
        await connection.close()
        raise
    return connection


async def _settings(connection: AsyncConnection[Any]) -> dict[str, tuple[str, str]]:
    """Return the value and source of each setting that we check."""
    cursor = await connection.execute(
        "SELECT name, setting, source FROM pg_settings WHERE name = ANY(%s)",
        ([READ_ONLY, *EXPECTED],),
    )
    return {name: (value, source) for name, value, source in await cursor.fetchall()}


def _require_expected(
    found: Mapping[str, tuple[str, str]], wrong: dict[str, str], user: str
) -> None:
    """If a pooler drops our options, the settings of the role apply."""
    wrong = wrong | {
        name: value
        for name, value in EXPECTED.items()
        if found[name][0].replace(" ", "") != value.replace(" ", "")
    }
    if wrong:
        # Each part of a search path is quoted separately.
        quoted = {name: v if '"' in v else f"'{v}'" for name, v in wrong.items()}
        changes = [f'ALTER ROLE "{user}" SET {name} = {value}' for name, value in quoted.items()]
        raise UnfitDatabase(
            "a pooler drops the settings that we send, and those of the server differ: "
            + "; ".join(changes)
        )


def _may_pass(error: BaseException) -> bool:
    if not isinstance(error, psycopg.OperationalError) or isinstance(error, UnfitDatabase):
        return False
    return not any(text in str(error) for text in HOPELESS)


def _report(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    logger.warning(
        "PostgreSQL is not there yet (attempt {}): {}. Next attempt in {:.1f} s.",
        state.attempt_number,
        cause(error) if error else "unknown",
        state.next_action.sleep if state.next_action else 0.0,
    )

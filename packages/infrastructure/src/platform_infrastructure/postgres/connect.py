"""The first connection: try until PostgreSQL answers, or say why it will not."""

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
from platform_infrastructure.postgres.bounded import NoAnswer
from platform_infrastructure.postgres.pool import (
    connection_parameters,
    database_url,
    direct_url,
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


async def wait_for_database(settings: DatabaseSettings) -> None:
    """Return once a connection succeeds; raise `StartupError` after the deadline.

    Logs one line an attempt with the cause. What cannot get better (a wrong password, a missing
    database, a URL that PostgreSQL's client cannot read) is not tried again.
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
        raise StartupError(
            f"PostgreSQL at {place(settings)} cannot be used: {cause(error)}. "
            "Check DATABASE_URL and that the server is running."
        ) from error


async def connect(settings: DatabaseSettings) -> AsyncConnection[TupleRow]:
    """Open one connection outside the pool, in autocommit."""
    parameters = connection_parameters(settings)
    return await AsyncConnection.connect(**parameters, autocommit=True)


async def connect_directly(settings: DatabaseSettings) -> AsyncConnection[TupleRow]:
    """Open one connection past a pooler, which would lend it to others in between."""
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
    """Return what kind of failure this is, for the report of a health check.

    The text of an error may name a role, a host or a file: that is for the log alone.
    """
    if isinstance(error, NoAnswer):
        kind = "no answer within the time limit"
    elif "refused" in str(error):
        kind = "connection refused"
    elif any(text in str(error) for text in HOPELESS):
        kind = "the server rejects our credentials or settings"
    else:
        kind = "cannot be reached or used"
    return f"{kind} ({type(error).__name__})"


def _may_pass(error: BaseException) -> bool:
    if not isinstance(error, psycopg.OperationalError):
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

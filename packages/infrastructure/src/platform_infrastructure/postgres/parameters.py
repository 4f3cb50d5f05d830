"""The parameters of all our connections: the address, our time limits and our session settings.

The results of queries depend on settings such as DateStyle. Their defaults come from the server,
the role, the database and the environment of the process. Our settings override all of these.
"""

import os
from collections.abc import Mapping
from functools import cache
from typing import Any

from loguru import logger
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Conninfo

from platform_config import DatabaseSettings
from platform_config.database import SHAPE, names_a_server
from platform_domain.startup import StartupError
from platform_queries.rows import ADAPTERS

SEARCH_PATH = {"search_path": '"$user",public'}
"""PostgreSQL's default. DATABASE_URL may choose another in its `options`."""
SESSION: Mapping[str, str] = {
    "IntervalStyle": "postgres",
    "standard_conforming_strings": "on",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "array_nulls": "on",
    "transform_null_equals": "off",
    "xmloption": "content",
    "xmlbinary": "base64",
    "row_security": "on",
    "gin_fuzzy_search_limit": "0",
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
}
"""What changes the meaning of a statement or the form of its result. The values are PostgreSQL's
defaults. `default_transaction_read_only` is left out: see `connect.prepare`."""
STARTUP = {"PGTZ": "UTC", "PGDATESTYLE": "ISO, MDY"}
"""libpq has no parameters for these two. It sends them as startup parameters of their own, which a
pooler keeps for each client where it drops `options`, and which go before `options`."""
UNBOUNDED = {
    "statement_timeout": 0.0,
    "lock_timeout": 0.0,
    "idle_in_transaction_session_timeout": 0.0,
}


def connection_parameters(settings: DatabaseSettings) -> dict[str, Any]:
    """Return psycopg's parameters: our limits, which DATABASE_URL may override.

    Both TCP limits are needed. Keepalives detect a dead peer while we wait for an answer, and
    tcp_user_timeout while data that we sent is not acknowledged.
    """
    ours: Mapping[str, Any] = {
        "application_name": "platform",
        "connect_timeout": max(1, round(settings.connect_timeout)),
        "keepalives": 1,
        "keepalives_idle": 10,
        "keepalives_interval": 3,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
    }
    timeouts = {
        "statement_timeout": settings.statement_timeout,
        "lock_timeout": settings.lock_timeout,
        "idle_in_transaction_session_timeout": 2 * settings.statement_timeout,
    }
    threshold = {} if settings.prepared_statements == "auto" else {"prepare_threshold": None}
    return {**ours, **parameters_at(database_url(settings), timeouts), **threshold}


def parameters_at(url: str, timeouts: Mapping[str, float] = UNBOUNDED) -> dict[str, Any]:
    """Return psycopg's parameters for a connection to `url`, in autocommit; `timeouts` in seconds.

    Raises `StartupError` if libpq cannot parse the URL.
    """
    ignore_environment()
    given = parsed(url)
    bounds = {name: str(round(seconds * 1000)) for name, seconds in timeouts.items()}
    # If a setting has two values, PostgreSQL uses the last one.
    options = (_options(bounds | SEARCH_PATH), given.pop("options", None), _options(SESSION))
    return {
        **given,
        "client_encoding": "UTF8",
        "options": " ".join(filter(None, options)),
        "autocommit": True,
        "context": ADAPTERS,
    }


def ignore_environment() -> None:
    """Remove libpq's variables (PGHOST, PGSSLMODE, PGOPTIONS ...) from the environment.

    libpq reads some of them while it connects, so single connections cannot ignore them.
    """
    found = {name: os.environ[name] for name in sorted(_variables()) if name in os.environ}
    if found == STARTUP:
        return
    ignored = [name for name, value in found.items() if value != STARTUP.get(name)]
    for name in ignored:
        del os.environ[name]
    os.environ.update(STARTUP)
    if ignored:
        logger.warning(
            "Variables of PostgreSQL's client are ignored: write them in DATABASE_URL",
            variables=ignored,
        )


def parsed(url: str) -> dict[str, Any]:
    """Return libpq's parameters in `url`. Raises `StartupError`, whose text contains no part of it.

    All connections use these, because libpq's own errors would contain parts of a wrong URL.
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
    """Return the URL that bypasses a pooler: for migrations, LISTEN and advisory locks."""
    if settings.direct_url is None:
        return database_url(settings)
    return str(settings.direct_url.get_secret_value())


@cache
def _variables() -> frozenset[str]:
    """Return the environment variables that libpq reads (PostgreSQL manual, 32.15)."""
    options = {option.envvar.decode() for option in Conninfo.get_defaults() if option.envvar}
    return frozenset(options | STARTUP.keys() | {"PGGEQO", "PGSERVICEFILE", "PGSYSCONFDIR"})


def _options(values: Mapping[str, str]) -> str:
    escaped = {name: value.replace(" ", "\\ ") for name, value in values.items()}
    return " ".join(f"-c {name}={value}" for name, value in escaped.items())

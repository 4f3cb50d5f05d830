"""The queries of this package: their lock, their verification and the check at start-up."""

import asyncio
import importlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import psycopg
from loguru import logger
from psycopg import Connection
from pydantic import SecretStr

from platform_config import DatabaseSettings
from platform_domain.startup import StartupError
from platform_infrastructure.postgres import migrations
from platform_infrastructure.postgres.connect import READ_ONLY, cause, connect_unbounded
from platform_infrastructure.postgres.parameters import database_url, parameters_at
from platform_infrastructure.postgres.start import migrated
from platform_queries import QUERIES, Query, lock
from platform_queries.verify.verifier import verified

PACKAGE = "platform_infrastructure"
LOCK_NAME = "queries.lock.json"
OLDEST = 160000
CONNECT_SECONDS = 5
REMEDY = "Run `platform generate` and commit the result."


@asynccontextmanager
async def verified_queries(settings: DatabaseSettings, *, development: bool) -> AsyncIterator[None]:
    """Raise `StartupError` unless all queries are verified.

    In development, verify the changed queries instead, and log their problems.
    """
    if development:
        await asyncio.to_thread(_verify_changed, settings)
    else:
        refuse_unverified()
    yield


def refuse_unverified() -> None:
    """Raise `StartupError` for a query whose current form is not in the lock."""
    if names := packaged().lacking(QUERIES):
        raise StartupError(f"These queries were not verified: {', '.join(names)}. {REMEDY}")


def packaged() -> lock.Lock:
    """Return the lock that was installed with this package."""
    file = files(PACKAGE) / LOCK_NAME
    return lock.read(file.read_text(encoding="utf-8") if file.is_file() else "", schema_hash())


@cache
def schema_hash() -> str:
    """Return a hash of all migrations, in order."""
    return lock.digest([(m.name, m.sql) for m in migrations.migrations()])


def all_queries() -> dict[str, type[Query[Any]]]:
    """Import every module that defines queries, and return the queries sorted by name."""
    for module in _modules(files(PACKAGE), PACKAGE):
        importlib.import_module(module)
    return ours()


def ours() -> dict[str, type[Query[Any]]]:
    """Return the queries of this package that have been imported."""
    return {name: QUERIES[name] for name in sorted(QUERIES) if name.startswith(f"{PACKAGE}.")}


def named(name: str) -> type[Query[Any]]:
    """Return the query of that name, with or without its module. Raises `StartupError`."""
    found = [q for full, q in all_queries().items() if full == name or full.endswith(f".{name}")]
    if len(found) != 1:
        raise StartupError(f"There are {len(found)} queries with the name {name}.")
    return found[0]


@contextmanager
def migrated_database(url: str | None) -> Iterator[Connection[Any]]:
    """Connect to `url`, or to our own temporary PostgreSQL 18 with all migrations.

    Raises `StartupError` if `url` cannot be used. The database at `url` is never migrated.
    """
    if url is None:
        # Production must not import it.
        from platform_infrastructure.postgres.embedded import EmbeddedPostgres

        with EmbeddedPostgres(None) as embedded:
            _run(migrated(DatabaseSettings(url=SecretStr(embedded.url))))
            with connected(embedded.url) as connection:
                yield connection
        return
    with connected(url) as connection:
        _run(_require_schema(url))
        yield connection


@contextmanager
def connected(url: str) -> Iterator[Connection[Any]]:
    """Connect. Raises `StartupError` if that fails or PostgreSQL is too old."""
    try:
        connection = psycopg.connect(**_parameters(url))
    except psycopg.Error as error:
        raise StartupError(f"The database to verify against: {cause(error)}.") from error
    with connection:
        require_version(connection.info.server_version)
        yield connection


def require_version(version: int) -> None:
    """Raise `StartupError` for a PostgreSQL whose analysed trees lack `varnullingrels`."""
    if version < OLDEST:
        raise StartupError(
            f"PostgreSQL {version // 10000} cannot verify queries: only 16 and later record which"
            " outer joins can null a column. Leave --database out to use our own."
        )


def _parameters(url: str) -> dict[str, Any]:
    """Return parameters that also work for a role that is read-only by default."""
    found = parameters_at(url)
    options = f"{found['options']} -c {READ_ONLY}=off"
    return {"connect_timeout": CONNECT_SECONDS, **found, "options": options}


def _verify_changed(settings: DatabaseSettings) -> None:
    queries = ours()
    trusted = packaged().trusted(queries)
    if len(trusted) == len(queries):
        return
    try:
        with connected(database_url(settings)) as connection:
            outcome = verified(connection, queries, trusted)
    except StartupError as error:
        logger.warning("Changed queries are not verified", reason=str(error))
        return
    for problem in outcome.problems:
        logger.warning("A query is wrong", problem=problem)
    if not outcome.problems:
        count = len(queries) - len(trusted)
        logger.info(
            "Verified new and changed queries. Run `platform generate` and commit the result.",
            count=count,
        )


def _run(work: Any) -> Any:
    # psycopg cannot use the proactor loop that is the default on Windows.
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        return runner.run(work)


async def _require_schema(url: str) -> None:
    known = migrations.migrations()
    async with await connect_unbounded(url) as connection:
        applied = await migrations.applied(connection)
    if behind := migrations.missing(applied, known):
        raise StartupError(f"The schema lacks {', '.join(behind)}: run `platform migrate`.")
    if names := migrations.changed(applied, known):
        migrations.refuse(names)


def _modules(folder: Traversable, package: str) -> list[str]:
    found: list[str] = []
    for entry in folder.iterdir():
        if entry.is_dir() and (entry / "__init__.py").is_file():
            found += _modules(entry, f"{package}.{entry.name}")
        elif entry.name.endswith(".py") and _defines_queries(entry):
            found.append(f"{package}.{entry.name.removesuffix('.py')}")
    return found


def _defines_queries(file: Traversable) -> bool:
    return "from platform_queries import" in file.read_text(encoding="utf-8")

"""The queries of `platform check`, `platform generate` and `platform show query`."""

from pathlib import Path

from platform_api.cli.committed import difference_in, read, require_root, write
from platform_domain.startup import StartupError
from platform_infrastructure.postgres.verification import (
    LOCK_NAME,
    all_queries,
    migrated_database,
    named,
    schema_hash,
)
from platform_queries import lock
from platform_queries.verify.explain import explained
from platform_queries.verify.verifier import Problem, located, verified

LOCK = f"packages/infrastructure/src/platform_infrastructure/{LOCK_NAME}"
CHANGED = "changed since it was verified"


class QueriesInvalid(StartupError):
    """Queries are wrong. Its text has a line `file:line: Query: message` for each error."""


def query_differences(database: str | None, *, offline: bool) -> list[str]:
    """Return how the lock differs from what verification says, nothing when it does not.

    With a `database` every query is verified there, whatever the lock says. Raises
    `QueriesInvalid` and `NotTheRoot`.
    """
    require_root()
    committed = read(Path(LOCK))
    if database is not None:
        _verified_text("", database)
    if offline:
        _require_unchanged(committed)
        return []
    difference = difference_in(LOCK, committed, _verified_text(committed, None))
    return [difference] if difference else []


def write_queries() -> list[str]:
    """Verify what changed, write the lock and return its path if it differs."""
    require_root()
    committed = read(Path(LOCK))
    text = _verified_text(committed, None)
    if text == committed:
        return []
    write(Path(LOCK), text)
    return [LOCK]


def query_lines(name: str, database: str | None) -> list[str]:
    """Return what `platform show query` prints."""
    query = named(name)
    with migrated_database(database) as connection:
        return explained(connection, query)


def _verified_text(committed: str, database: str | None) -> str:
    """Return the lock as it should be. No database is started when nothing changed."""
    queries = all_queries()
    found = lock.read(committed, schema_hash()).trusted(queries)
    if len(found) < len(queries):
        with migrated_database(database) as connection:
            outcome = verified(connection, queries, found)
        if outcome.problems:
            raise QueriesInvalid("\n".join(outcome.problems))
        found = dict(outcome.verified)
    return lock.written(queries, found, schema_hash())


def _require_unchanged(committed: str) -> None:
    queries = all_queries()
    trusted = lock.read(committed, schema_hash()).trusted(queries)
    if changed := [query for name, query in queries.items() if name not in trusted]:
        raise QueriesInvalid("\n".join(located(query, Problem(CHANGED)) for query in changed))
    if lock.written(queries, trusted, schema_hash()) != committed:
        raise QueriesInvalid(f"{LOCK} has more, or other, than the queries of the code.")

"""What `serve` does about queries that were not verified as they are."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from loguru import logger

from platform_config import DatabaseSettings
from platform_domain.startup import StartupError
from platform_infrastructure.postgres.parameters import database_url
from platform_infrastructure.postgres.query import QUERIES
from platform_infrastructure.postgres.verification import lock
from platform_infrastructure.postgres.verification.registered import ours
from platform_infrastructure.postgres.verification.schema import connected
from platform_infrastructure.postgres.verification.verification import verified

REMEDY = "Run `platform generate` and commit the result."


@asynccontextmanager
async def verified_queries(settings: DatabaseSettings, *, development: bool) -> AsyncIterator[None]:
    """Enter with queries that were all verified, or raise `StartupError`.

    Development verifies those that changed, here and now, and says what is wrong with them.
    """
    if development:
        await asyncio.to_thread(_verify_changed, settings)
    else:
        refuse_unverified()
    yield


def refuse_unverified() -> None:
    """Raise `StartupError` for a query that is not in the lock as it is."""
    if names := lock.packaged().lacking(QUERIES):
        raise StartupError(f"These queries were not verified: {', '.join(names)}. {REMEDY}")


def _verify_changed(settings: DatabaseSettings) -> None:
    queries = ours()
    trusted = lock.packaged().trusted(queries)
    if len(trusted) == len(queries):
        return
    try:
        with connected(database_url(settings)) as connection:
            outcome = verified(connection, queries, trusted)
    except StartupError as error:
        logger.warning("Changed queries are not verified: {}", error)
        return
    for problem in outcome.problems:
        logger.warning("{}", problem)
    count = len(queries) - len(trusted)
    if not outcome.problems:
        logger.info("Verified {} new or changed queries. {}", count, REMEDY)

import time

import psycopg
import pytest

from platform_infrastructure.postgres.bounded import bounded

pytestmark = pytest.mark.anyio


async def test_what_takes_longer_than_its_bound_fails_and_ends_the_connection(
    database_url: str,
) -> None:
    connection = await psycopg.AsyncConnection.connect(database_url, autocommit=True)
    started = time.monotonic()

    with pytest.raises(psycopg.OperationalError):
        await bounded(connection, connection.execute("SELECT pg_sleep(30)"), 0.2)

    assert time.monotonic() - started < 5
    assert connection.closed
    await connection.close()


async def test_what_is_in_time_leaves_the_connection_alone(database_url: str) -> None:
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        await bounded(connection, connection.execute("SELECT 1"), 5)

        assert not connection.closed

import asyncio
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest
from loguru import logger

from platform_domain.startup import StartupError
from platform_infrastructure.postgres.connect import connect, place, wait_for_database
from tests.infrastructure.postgres.connections import settings_for

pytestmark = pytest.mark.anyio


@pytest.fixture
def log() -> Any:
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(message.record["message"]), level="WARNING")
    yield lines
    logger.remove(sink)


async def test_a_database_that_is_there_is_waited_for_without_a_word(
    database_url: str, log: list[str]
) -> None:
    await wait_for_database(settings_for(database_url))

    assert log == []


async def test_each_attempt_is_one_line_with_its_cause(log: list[str]) -> None:
    nowhere = settings_for("postgresql://u:hunter2@127.0.0.1:1/nothing", connect_deadline=0.5)

    with pytest.raises(StartupError, match=r"127\.0\.0\.1:1/nothing cannot be used") as caught:
        await wait_for_database(nowhere)

    assert len(log) >= 2
    assert all("Connection refused" in line and "attempt" in line for line in log)
    assert all("\n" not in line for line in log)
    assert "hunter2" not in str(caught.value) + "".join(log)


async def test_a_database_that_comes_back_before_the_deadline_is_used(
    database_url: str, log: list[str]
) -> None:
    """The address refuses at first; then a relay to the real server opens on it."""
    there = urlsplit(database_url)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    url = database_url.replace(f":{there.port}/", f":{port}/")
    waiting = asyncio.create_task(wait_for_database(settings_for(url)))
    relayed = asyncio.Event()
    while not log:  # noqa: ASYNC110 - a log has no event to wait for
        await asyncio.sleep(0.01)

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection(there.hostname, there.port)
        await asyncio.gather(copy(reader, there_writer), copy(there_reader, writer))
        relayed.set()

    async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            target.write(data)
        target.close()
        await target.wait_closed()

    async with await asyncio.start_server(relay, "127.0.0.1", port):
        await asyncio.wait_for(waiting, 20)
        await relayed.wait()


@pytest.mark.parametrize("change", ["password", "database"])
async def test_what_cannot_get_better_is_not_tried_again(
    database_url: str, log: list[str], change: str
) -> None:
    parts = urlsplit(database_url)
    wrong = {
        "password": database_url.replace(f":{parts.password}@", ":hunter2@"),
        "database": database_url.replace(parts.path, "/nothing"),
    }[change]

    with pytest.raises(StartupError) as caught:
        await asyncio.wait_for(wait_for_database(settings_for(wrong)), 5)

    assert log == []
    assert "hunter2" not in str(caught.value)


async def test_the_bounds_reach_the_server(database_url: str) -> None:
    settings = settings_for(database_url, statement_timeout=7, lock_timeout=3)
    async with await connect(settings) as connection:
        bounds = {}
        for name in ("statement_timeout", "lock_timeout", "application_name", "TimeZone"):
            row = await (await connection.execute(f"SHOW {name}".encode())).fetchone()
            assert row is not None
            bounds[name] = row[0]

    assert bounds == {
        "statement_timeout": "7s",
        "lock_timeout": "3s",
        "application_name": "platform",
        "TimeZone": "UTC",
    }


def test_a_place_is_named_without_user_and_password() -> None:
    assert place(settings_for("postgresql://u:p@db.example:5433/app")) == "db.example:5433/app"

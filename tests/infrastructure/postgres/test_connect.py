import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from platform_domain.startup import StartupError
from platform_infrastructure.postgres.connect import connect, place, wait_for_database
from platform_infrastructure.postgres.parameters import parsed
from tests.infrastructure.postgres.connections import settings_for
from tests.infrastructure.postgres.faults import through
from tests.support.fault_proxy import FaultProxy

ENCRYPTION = struct.pack("!h", 1234)
"""How requests for TLS and GSSAPI begin, where others have the protocol's version."""

pytestmark = pytest.mark.anyio


async def test_a_database_that_is_there_is_waited_for_without_a_word(
    database_url: str, log: list[str]
) -> None:
    await wait_for_database(settings_for(database_url))

    assert log == []


async def test_each_attempt_is_one_line_with_its_cause(log: list[str]) -> None:
    nowhere = settings_for("postgresql://u:hunter2@127.0.0.1:1/nothing", connect_deadline=2)

    with pytest.raises(StartupError, match=r"127\.0\.0\.1:1/nothing cannot be used") as caught:
        await wait_for_database(nowhere)

    assert len(log) >= 2
    assert all("Connection refused" in line and "attempt" in line for line in log)
    assert all("\n" not in line for line in log)
    assert "hunter2" not in str(caught.value) + "".join(log)


async def test_a_database_that_comes_back_before_the_deadline_is_used(
    database_url: str, log: list[str]
) -> None:
    async with FaultProxy(urlsplit(database_url).port or 5432) as proxy:
        proxy.refuse()
        waiting = asyncio.create_task(wait_for_database(settings_for(through(proxy, database_url))))
        while not log:  # noqa: ASYNC110 - a log has no event to wait for
            await asyncio.sleep(0.01)

        await proxy.restore()

        await asyncio.wait_for(waiting, 20)


@pytest.mark.parametrize(
    "refusal", ["the database system is starting up", "sorry, too many clients already"]
)
async def test_a_server_that_takes_nobody_yet_is_tried_again(
    database_url: str, log: list[str], refusal: str
) -> None:
    proxy = FaultProxy(urlsplit(database_url).port or 5432)
    async with refusing(refusal) as port:
        url = database_url.replace(f":{proxy.target}/", f":{port}/")
        waiting = asyncio.create_task(wait_for_database(settings_for(url)))
        while len(log) < 2:  # noqa: ASYNC110 - a log has no event to wait for
            await asyncio.sleep(0.01)
    proxy.port = port

    async with proxy:
        await asyncio.wait_for(waiting, 20)

    assert refusal in log[0]


async def test_refused_encryption_is_not_tried_again(log: list[str]) -> None:
    async with refusing("nobody gets this far") as port:
        url = f"postgresql://u@127.0.0.1:{port}/d?sslmode=require"

        with pytest.raises(StartupError, match="does not support SSL"):
            await asyncio.wait_for(wait_for_database(settings_for(url)), 5)

    assert log == []


@asynccontextmanager
async def refusing(message: str) -> AsyncIterator[int]:
    """A server that answers everybody with a FATAL error, in PostgreSQL's protocol 3."""
    fields = b"SFATAL\0VFATAL\0C57P03\0M" + message.encode() + b"\0\0"

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):  # Who wants encryption or nothing leaves.
            while (await packet(reader))[:2] == ENCRYPTION:
                writer.write(b"N")
            writer.write(b"E" + struct.pack("!i", 4 + len(fields)) + fields)
        writer.close()
        await writer.wait_closed()

    async def packet(reader: asyncio.StreamReader) -> bytes:
        (length,) = struct.unpack("!i", await reader.readexactly(4))
        return await reader.readexactly(length - 4)

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize("change", ["password", "database"])
async def test_what_cannot_get_better_is_not_tried_again(
    database_url: str, log: list[str], change: str
) -> None:
    parts = urlsplit(database_url)
    if change == "password" and not parts.password:
        pytest.skip("the server trusts everybody")
    wrong = {
        "password": database_url.replace(f":{parts.password}@", ":hunter2@"),
        "database": database_url.replace(parts.path, "/nothing"),
    }[change]

    with pytest.raises(StartupError) as caught:
        await asyncio.wait_for(wait_for_database(settings_for(wrong)), 5)

    assert log == []
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:hunter2@127.0.0.1/d?colour=red",
        "postgresql://u@127.0.0.1/d?password=x&hunter2",
        "postgresql://u:hunter2@127.0.0.1:99999/d",
        "postgresql://u:hunter2@127.0.0.1/d?sslmode=bogus",
    ],
)
async def test_a_url_that_cannot_be_right_fails_at_once_without_its_password(url: str) -> None:
    with pytest.raises(StartupError) as caught:
        await asyncio.wait_for(wait_for_database(settings_for(url)), 5)

    told = [caught.value, caught.value.__cause__]
    assert "hunter2" not in " ".join(map(str, told))


async def test_the_url_past_a_pooler_is_read_at_once_too(database_url: str) -> None:
    direct = SecretStr("postgresql://u@127.0.0.1/d?password=x&hunter2")

    with pytest.raises(StartupError, match="DATABASE_DIRECT_URL") as caught:
        await wait_for_database(settings_for(database_url, direct_url=direct))

    assert "hunter2" not in f"{caught.value} {caught.value.__cause__}"


@pytest.mark.parametrize("url", ["postgresql://u:hun@ter2@127.0.0.1/d", "host=127.0.0.1 user=u"])
def test_what_is_no_clear_url_is_refused_wherever_it_comes_from(url: str) -> None:
    with pytest.raises(StartupError, match="percent-encode special characters") as caught:
        parsed(url)

    assert "ter2" not in str(caught.value)


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

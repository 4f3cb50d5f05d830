"""The command `serve` while its database gets another primary behind the same address."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path

import httpx2
import pytest

from tests.api.shapes import assert_error
from tests.e2e.serve import listening
from tests.infrastructure.postgres.connections import ask
from tests.infrastructure.postgres.faults import through
from tests.infrastructure.postgres.primaries import Primaries, migrated, primaries
from tests.processes import Program
from tests.support.fault_proxy import FaultProxy

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

SECONDS = 20.0
"""Measured: 1.2 s."""


@pytest.fixture
def both() -> Iterator[Primaries]:
    with migrated() as folder, primaries(folder) as both:
        yield both


async def test_readiness_and_log_say_that_no_server_takes_writes_until_one_does(
    tmp_path: Path, both: Primaries
) -> None:
    async with FaultProxy(both.old.port) as proxy:
        serving = listening(tmp_path, DATABASE_URL=through(proxy, both.old.url))
        program = await asyncio.to_thread(serving.__enter__)
        try:
            await outlives_a_failover(program, proxy, both)
        finally:
            await asyncio.to_thread(serving.__exit__, None, None, None)

    assert "Connecting again to find the primary" in program.output
    assert "the server takes no writes: default_transaction_read_only is on" in program.output
    assert "PostgreSQL is back." in program.output
    assert "Traceback" not in program.output


async def outlives_a_failover(program: Program, proxy: FaultProxy, both: Primaries) -> None:
    base, headers = f"http://127.0.0.1:{program.port}", {"x-user-id": "alice"}
    async with httpx2.AsyncClient(base_url=base, headers=headers) as http:
        ready = partial(http.get, "/health/ready")
        await until(201, lambda: created(http, "before"))
        both.set_read_only()
        names = map(str, count())
        while (refused := await created(http, next(names))).status_code == 201:
            pass
        await until(503, ready)
        read = await http.get("/api/v1/projects")
        proxy.target = both.new.port
        await until(200, ready)
        await until(201, lambda: created(http, "after"))
    program.signal()

    assert await asyncio.to_thread(program.exit_code) == 0
    assert_error(refused, 503, "unavailable")
    assert read.status_code == 200
    assert ask(both.new.url, "SELECT name FROM projects") == [("after",)]


def created(http: httpx2.AsyncClient, name: str) -> Awaitable[httpx2.Response]:
    return http.post("/api/v1/projects", json={"name": name})


async def until(status: int, asking: Callable[[], Awaitable[httpx2.Response]]) -> None:
    async with asyncio.timeout(SECONDS):
        while (await asking()).status_code != status:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)

"""Twice as much as the server can do, for twenty seconds."""

import asyncio
import json
import urllib.request
from pathlib import Path

import pytest

from tests.e2e import serve
from tests.e2e.limits.overload import (
    HEALTH_RATE,
    OVERLOAD_SECONDS,
    Period,
    capacity_of,
    core_of_its_own,
    overload_of,
)
from tests.e2e.limits.server import serving

pytestmark = pytest.mark.load

WORK_SECONDS = 0.005
WORK = b"GET /api/v1/trial/work HTTP/1.1\r\nHost: a\r\nX-User-Id: alice\r\n\r\n"


def test_a_server_that_computes_does_what_it_can_and_sends_the_rest_away_quickly() -> None:
    with serving(work=WORK_SECONDS) as server:
        capacity, overload = measured(server.port, server.pid, WORK)

    holds(capacity, overload, share=0.85)


def test_a_server_that_reads_rows_does_what_it_can_and_sends_the_rest_away_quickly(
    empty_database_url: str, tmp_path: Path
) -> None:
    settings = {"DATABASE_URL": empty_database_url, "LOG_FORMAT": "json"}
    with serve.listening(tmp_path, **settings) as server:
        path = project(server.port)
        read = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-User-Id: alice\r\n\r\n".encode()
        capacity, overload = measured(server.port, server.pid, read)

    # 0.86 to 1.08 is what we find; a core of a shared machine is by a tenth slower or faster from
    # one second to another, which is more than all refusals take.
    holds(capacity, overload, share=0.75)


def measured(port: int, pid: int, ask: bytes) -> tuple[Period, Period]:
    async def measure() -> tuple[Period, Period]:
        before = await capacity_of(port, pid, ask)
        overload = await overload_of(port, pid, ask, 2 * before.rate)
        # Again, because the same core is now faster and now slower on a machine that is shared.
        return before + await capacity_of(port, pid, ask), overload

    with core_of_its_own(pid):
        capacity, overload = asyncio.run(measure())
    print(f"capacity: {capacity}\noverload: {overload}")  # noqa: T201 - figures for who runs it
    return capacity, overload


def holds(capacity: Period, overload: Period, *, share: float) -> None:
    assert overload.goodput >= share * capacity.goodput
    assert {answer.status for answer in overload.answers} == {200, 503}
    assert overload.latency(200, 0.99) <= 0.5
    assert overload.latency(503, 0.99) <= 0.5
    assert len(overload.probes) >= 0.9 * HEALTH_RATE * OVERLOAD_SECONDS
    assert max(probe.seconds for probe in overload.probes) <= 1.0


def project(port: int) -> str:
    """Return the path of a new project."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/v1/projects",
        data=json.dumps({"name": "Storyboard"}).encode(),
        headers={"Content-Type": "application/json", "X-User-Id": "alice"},
    )
    with urllib.request.urlopen(request) as answer:
        return f"/api/v1/projects/{json.load(answer)['id']}"

"""Sockets on several workers hear the same events, whatever becomes of a worker."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx2
import pytest
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tests.e2e.realtime.test_sockets import connected, http, said, say
from tests.e2e.workers.processes import pids, serving
from tests.infrastructure.events.valkeys import started_valkey
from tests.processes import Program

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="Not supported there."),
]

TOPIC = "user:alice"
SOCKETS = 16
"""So many that no worker is left without one: the kernel spreads them evenly."""
LOST = (ConnectionClosed, InvalidHandshake, OSError)


class Page:
    """Listens as the SPA does: when the socket is lost, another resumes where it was."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._since: dict[str, Any] | None = None
        self.names: list[str] = []
        self.recovered: list[bool] = []
        self.subscribed = asyncio.Event()
        self._news = asyncio.Event()

    async def listen(self) -> None:
        while True:
            try:
                async with connected(self._program) as ws:
                    await self._subscribe(ws)
                    while True:
                        self._take(await said(ws))
            except LOST:
                await asyncio.sleep(0.05)

    async def _subscribe(self, ws: Any) -> None:
        since = {"since": self._since} if self._since else {}
        answer = await say(ws, type="subscribe", topic=TOPIC, **since)
        assert answer["type"] == "subscribed"
        if self._since:
            self.recovered.append(answer["recovered"])
        else:
            self._since = answer["position"]
        self.subscribed.set()

    def _take(self, message: dict[str, Any]) -> None:
        if message["type"] != "goodbye":
            assert message["type"] == "event"
            self._since = message["position"]
            self.names.append(message["data"]["name"])
            self._news.set()

    async def hears(self, count: int) -> list[str]:
        async with asyncio.timeout(15):
            while len(self.names) < count:
                self._news.clear()
                await self._news.wait()
        return self.names


@contextmanager
def on_engine(engine: str, folder: Path, database_url: str) -> Iterator[Program]:
    """`auto` comes to the engine by what there is."""
    if engine == "postgres":
        with serving(folder, DATABASE_URL=database_url) as program:
            yield program
    else:
        with (
            started_valkey() as valkey,
            serving(folder, DATABASE_URL=database_url, VALKEY_URL=valkey.url) as program,
        ):
            yield program


@pytest.mark.parametrize("engine", ["postgres", "valkey"])
async def test_every_socket_hears_every_event_once_although_a_worker_is_killed(
    engine: str, tmp_path: Path, database_url: str
) -> None:
    with on_engine(engine, tmp_path, database_url) as program:
        pages = [Page(program) for _ in range(SOCKETS)]
        listening = [asyncio.create_task(page.listen()) for page in pages]
        async with http(program) as client:
            await asyncio.gather(*(page.subscribed.wait() for page in pages))
            names = [f"Project {number:02}" for number in range(30)]

            for name in names[:10]:
                await create(client, name)
            await asyncio.gather(*(page.hears(10) for page in pages))
            os.kill(pids(program)[1], signal.SIGKILL)
            for name in names[10:]:
                await create(client, name)
            heard = await asyncio.gather(*(page.hears(len(names)) for page in pages))

        for task in listening:
            task.cancel()
        await asyncio.gather(*listening, return_exceptions=True)
        resumed = [recovered for page in pages for recovered in page.recovered]
        assert all(each == names for each in heard)
        assert 0 < len(resumed) < SOCKETS
        assert all(resumed)
        assert "Traceback" not in program.output


async def create(client: httpx2.AsyncClient, name: str) -> None:
    """Create a project as a client that repeats what got no answer."""
    while True:
        with suppress(httpx2.TransportError):  # The worker died.
            response = await client.post("/api/v1/projects", json={"name": name})
            assert response.status_code in (HTTPStatus.CREATED, HTTPStatus.CONFLICT)
            return

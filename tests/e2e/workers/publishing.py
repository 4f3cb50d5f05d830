"""A client that creates numbered projects at a steady rate, each exactly once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

import httpx2

PER_SECOND = 10.0
PAUSE_SECONDS = 0.05


class Publisher:
    """Asks on one connection, and so one worker, for as long as both live."""

    def __init__(self, port: int) -> None:
        self.begun = 0
        """The number of the newest project that was asked for."""
        self._client = httpx2.AsyncClient(
            base_url=f"http://127.0.0.1:{port}/api/v1",
            headers={"x-user-id": "alice"},
            limits=httpx2.Limits(max_connections=1),
            timeout=30,
        )
        self._news = asyncio.Event()

    async def run(self, stopping: asyncio.Event) -> None:
        """Create projects until told to stop; the last one is there then."""
        async with self._client:
            while not stopping.is_set():
                self.begun += 1
                self._news.set()
                await self._create(self.begun)
                await asyncio.sleep(1 / PER_SECOND)

    async def reaches(self, number: int) -> None:
        while self.begun < number:
            self._news.clear()
            await self._news.wait()

    async def _create(self, number: int) -> None:
        """Repeat what got no certain answer, with the key it had."""
        while (pause := await self._ask(number)) is not None:  # noqa: ASYNC110 - as the answer says
            await asyncio.sleep(pause)

    async def _ask(self, number: int) -> float | None:
        """Return after how many seconds to ask again, None when it is done."""
        key = {"idempotency-key": f"project-{number}"}
        body = {"name": f"Project {number}"}
        try:
            response = await self._client.post("/projects", json=body, headers=key)
        except httpx2.TransportError:
            return PAUSE_SECONDS
        match response.status_code:
            case HTTPStatus.CREATED:
                return None
            case HTTPStatus.SERVICE_UNAVAILABLE:
                return float(response.headers["retry-after"])
        assert response.json()["code"] == "idempotency_key_in_use", response.text
        return PAUSE_SECONDS


@asynccontextmanager
async def publishing(port: int) -> AsyncIterator[Publisher]:
    """Publish during the block; after it everything that was begun is done."""
    publisher, stopping = Publisher(port), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(publisher.run(stopping))
        yield publisher
        stopping.set()

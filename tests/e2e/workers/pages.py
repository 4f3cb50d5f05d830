"""Pages that listen as docs/realtime.md tells clients to, and remember exactly what they heard."""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

TOPIC = "user:alice"
REFUSED = (InvalidHandshake, OSError)
JITTER_SECONDS = 0.5
PATIENCE_SECONDS = 30.0
Message = dict[str, Any]


class Page:
    """One client: whenever its socket is lost, another resumes where it was."""

    def __init__(self, port: int) -> None:
        self.heard: list[int] = []
        """The numbers in the names of the projects that were created, as they came."""
        self.resets: list[int] = []
        """How many of `heard` were there already when each loss was told."""
        self.closed: set[int | None] = set()
        """The codes of all its sockets that were lost."""
        self._url = f"ws://127.0.0.1:{port}/api/v1/ws?user=alice"
        self._position: Message | None = None
        self._pause = 0.0
        self.watch()
        self._news = asyncio.Event()

    async def stay(self) -> None:
        while True:
            self._pause = random.uniform(0, JITTER_SECONDS)
            with suppress(*REFUSED):
                async with connect(self._url, compression=None, ping_interval=None) as ws:
                    await self._listen(ws)
                    self.closed.add(ws.close_code)
            await asyncio.sleep(self._pause)

    def watch(self) -> None:
        """Measure the longest silence from now on."""
        self.longest_silence, self._heard_at = 0.0, time.monotonic()

    async def hears(self, number: int) -> None:
        """Return when it has heard this number, or one after it."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not self.heard or self.heard[-1] < number:
                await self._next()

    async def subscribed(self) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self._position is None:
                await self._next()

    async def _next(self) -> None:
        self._news.clear()
        await self._news.wait()

    async def _listen(self, ws: ClientConnection) -> None:
        with suppress(ConnectionClosed):
            while True:
                await self._take(ws, json.loads(await ws.recv()))

    async def _take(self, ws: ClientConnection, message: Message) -> None:
        match message["type"]:
            case "welcome":
                await self._subscribe(ws)
            case "subscribed":
                self._begin(message)
            case "event":
                self._hear(message)
            case "reset":
                self._load_again(message)
            case "goodbye":
                self._pause = message["reconnect_after_ms"] / 1000
            case _:
                assert message["code"] == "unavailable", message
                await asyncio.sleep(self._pause)
                await self._subscribe(ws)
        self._news.set()

    async def _subscribe(self, ws: ClientConnection) -> None:
        since = {"since": self._position} if self._position else {}
        await ws.send(json.dumps({"type": "subscribe", "topic": TOPIC} | since))

    def _begin(self, subscribed: Message) -> None:
        # After `recovered: true` what was missed is still to come: its position is not ours yet.
        if self._position is None:
            self._position = subscribed["position"]
        elif not subscribed["recovered"]:
            self._load_again(subscribed)

    def _load_again(self, message: Message) -> None:
        self._position = message["position"]
        self.resets.append(len(self.heard))

    def _hear(self, event: Message) -> None:
        assert self._position is not None
        expected = self._position | {"offset": self._position["offset"] + 1}
        assert event["position"] == expected, "events of one epoch come once and in order"
        self._position = event["position"]
        self.heard.append(int(event["data"]["name"].removeprefix("Project ")))
        now = time.monotonic()
        self.longest_silence = max(self.longest_silence, now - self._heard_at)
        self._heard_at = now


@asynccontextmanager
async def staying(port: int, count: int) -> AsyncIterator[Sequence[Page]]:
    """Pages that are subscribed. What one of them finds wrong ends the block with its error."""
    pages = [Page(port) for _ in range(count)]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(page.stay()) for page in pages]
        await asyncio.gather(*(page.subscribed() for page in pages))
        yield pages
        for task in tasks:
            task.cancel()

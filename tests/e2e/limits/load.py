"""Load on a server: as fast as it answers, or as fast as somebody asks, whatever it answers."""

import asyncio
import re
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import cast

TICK_SECONDS = 0.002
HEAD = re.compile(rb"HTTP/1\.1 (\d{3}) .*?\r\ncontent-length: (\d+)\r\n.*?\r\n\r\n", re.DOTALL)
CLOSING = b"\r\nconnection: close"


@dataclass(frozen=True, slots=True)
class Answer:
    """`seconds` run from when the request was due: a late client hides no slow server."""

    status: int
    seconds: float


class Load:
    """Sends one request again and again, on connections that are kept."""

    def __init__(self, port: int, request: bytes) -> None:
        self.answers: list[Answer] = []
        self.broken = 0
        self._port = port
        self._request = request
        self._open: set[Connection] = set()
        self._idle: deque[Connection] = deque()
        self._due: deque[float] = deque()
        self._news = asyncio.Event()
        self._connecting: set[asyncio.Task[None]] = set()

    @property
    def unsent(self) -> int:
        """How many requests are due for which no connection was free."""
        return len(self._due)

    async def open(self, connections: int) -> None:
        """Connect, and have one answer on each: a loaded server accepts but one connection in each
        turn of its loop (libuv >= 1.45), so the load would find most of them still waiting."""
        for _ in range(connections):
            await self._connect()
            self._due.append(asyncio.get_running_loop().time())
            self._news.clear()
            self._send_due()
            await self._news.wait()
        self.answers.clear()

    async def offer(self, rate: float, seconds: float) -> None:
        """Send `rate` requests a second, whether they are answered or not."""
        loop = asyncio.get_running_loop()
        began, sent = loop.time(), 0
        while (now := loop.time()) < began + seconds:
            due = int((now - began) * rate)
            self._due.extend(began + number / rate for number in range(sent, due))
            sent = due
            self._send_due()
            await asyncio.sleep(TICK_SECONDS)

    async def saturate(self, seconds: float, *, at_once: int) -> None:
        """Have so many requests under way all the time, on all connections in turn."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while loop.time() < until:
            under_way = len(self._open) - len(self._idle) + len(self._due)
            self._due.extend([loop.time()] * (at_once - under_way))
            self._send_due()
            await asyncio.sleep(TICK_SECONDS)

    def close(self) -> None:
        connections, self._open = self._open, set()
        for connection in connections:
            connection.transport.abort()

    def answered(self, connection: "Connection", answer: Answer) -> None:
        self.answers.append(answer)
        self._news.set()
        if not connection.closing:
            self._idle.append(connection)
            self._send_due()

    def lost(self, connection: "Connection") -> None:
        """Put another connection in the place of one that the server has ended."""
        if connection not in self._open:
            return
        self._open.discard(connection)
        if connection.due is not None:
            self.broken += 1
        if connection in self._idle:
            self._idle.remove(connection)
        task = asyncio.create_task(self._connect())
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        new = partial(Connection, self)
        _, connection = await loop.create_connection(new, "127.0.0.1", self._port)
        self._open.add(connection)
        self._idle.append(connection)

    def _send_due(self) -> None:
        while self._due and self._idle:
            self._idle.popleft().ask(self._request, self._due.popleft())


class Connection(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self, load: Load) -> None:
        self.due: float | None = None
        self.closing = False
        self._load = load
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class.

    def ask(self, request: bytes, due: float) -> None:
        self.due = due
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head = HEAD.match(self._received)
        if self.due is None or head is None or len(self._received) < head.end() + int(head[2]):
            return
        seconds = asyncio.get_running_loop().time() - self.due
        self.closing = CLOSING in self._received[: head.end()]
        self.due, self._received = None, b""
        self._load.answered(self, Answer(int(head[1]), seconds))

    def connection_lost(self, error: Exception | None) -> None:
        self._load.lost(self)

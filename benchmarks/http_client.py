"""HTTP/1.1 as plain as a client can be, so that what is measured is the server.

A general client's pool costs more with each request that waits, and so turns a short stall of the
server into a long one of its own.
"""

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

PATIENCE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class HttpClient:
    """Asks one server, on a new connection whenever all others are busy."""

    def __init__(self, port: int) -> None:
        self.failures: Counter[str] = Counter()
        self._port = port
        self._idle: list[Connection] = []

    async def succeeds(self, method: str, path: str, *, user: str, body: object = None) -> bool:
        """Send a request and tell whether the answer was 2xx; else it is one of `failures`."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                answer = await self.ask(method, path, user=user, body=body)
        except (OSError, EOFError, TimeoutError) as error:
            self.failures[type(error).__name__] += 1
            return False
        if answer.status // 100 != 2:
            self.failures[f"{answer.status} {answer.json()['code']}"] += 1
        return answer.status // 100 == 2

    async def ask(self, method: str, path: str, *, user: str, body: object = None) -> Answer:
        """Raises OSError or EOFError when the connection fails."""
        content = b"" if body is None else json.dumps(body).encode()
        head = (
            f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{self._port}\r\nx-user-id: {user}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
        )
        async with self._connection() as connection:
            return await connection.ask(head.encode() + content)

    async def create_project(self, user: str) -> str:
        """Return the path of a new project of the user."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            answer = await self.ask(
                "POST", "/api/v1/projects", user=user, body={"name": "Storyboard"}
            )
        return f"/api/v1/projects/{answer.json()['id']}"

    def close(self) -> None:
        for connection in self._idle:
            connection.close()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator["Connection"]:
        while self._idle and not self._idle[-1].open:
            self._idle.pop().close()
        connection = self._idle.pop() if self._idle else await Connection.to(self._port)
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)


class Connection:
    """One keep-alive connection, for one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._kept = True

    @classmethod
    async def to(cls, port: int) -> "Connection":
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    @property
    def open(self) -> bool:
        return self._kept and not self._reader.at_eof()

    def close(self) -> None:
        self._writer.close()

    async def ask(self, request: bytes) -> Answer:
        self._writer.write(request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        length = re.search(rb"\r\ncontent-length: *(\d+)", head)
        body = await self._reader.readexactly(int(length[1]) if length else 0)
        self._kept = b"\r\nconnection: close" not in head
        return Answer(int(head.split(b" ", 2)[1]), body)

"""One WebSocket at the ASGI border, with the client's end of it."""

import asyncio
import json
from collections import deque
from typing import Any

from starlette.types import Message

from platform_api.realtime.outbox import FINAL_TEXT

HIGH_WATER = 3
LOW_WATER = 1
"""A write that finds more than the one on its way waits until there is no more than the other."""
ABNORMAL = 1006


class Wire:
    """Behaves as Hypercorn does: what is written is on its way at once, and then the writer waits
    until little enough is; after the end nothing is written and nobody is told."""

    def __init__(self) -> None:
        self.accepted = False
        self.close_code: int | None = None
        """What the client saw: the server's code, or that there was none."""
        self._to_server: asyncio.Queue[Message] = asyncio.Queue()
        self._to_server.put_nowait({"type": "websocket.connect"})
        self._to_client: deque[dict[str, Any] | int] = deque()
        self._arrived = asyncio.Event()
        self._taken = asyncio.Event()
        self._closed_by_server = False
        self._ended = False

    async def receive(self) -> Message:
        return await self._to_server.get()

    async def send(self, message: Message) -> None:
        match message["type"]:
            case "websocket.accept":
                await asyncio.sleep(0.01)
                self.accepted = True
            case "websocket.send":
                self._write(json.loads(message["text"]))
                await self._flushed()
            case "websocket.close":
                self._write(int(message["code"]))
                self._closed_by_server = True
                await self._flushed()
            case _:
                raise AssertionError(message)

    def write_frame(self, frame: bytes) -> bool:
        """Write past the queues, if nothing has to wait."""
        if self._ended or self._closed_by_server or len(self._to_client) > HIGH_WATER:
            return False
        self._write(json.loads(_payload(frame)))
        return True

    def say(self, message: object) -> None:
        if not self._ended:
            self._to_server.put_nowait({"type": "websocket.receive", "text": json.dumps(message)})

    def leave(self, code: int) -> None:
        """End the connection, as the server sees it."""
        if not self._ended:
            self._ended = True
            self._to_server.put_nowait({"type": "websocket.disconnect", "code": code})
            self._taken.set()
            self._arrived.set()

    def app_ended(self) -> None:
        self._ended = True
        self._arrived.set()

    async def read(self) -> dict[str, Any] | None:
        """Return the next message, or None after the last one; `close_code` says why."""
        while not self._to_client:
            if self._ended:
                self.close_code = ABNORMAL
                return None
            self._arrived.clear()
            await self._arrived.wait()
        message = self._to_client.popleft()
        self._taken.set()
        if isinstance(message, dict):
            return message
        self.close_code = message
        self.leave(message)
        return None

    def _write(self, message: dict[str, Any] | int) -> None:
        assert not self._closed_by_server, f"{message} was written after the close"
        if not self._ended:
            self._to_client.append(message)
            self._arrived.set()

    async def _flushed(self) -> None:
        if len(self._to_client) <= HIGH_WATER:
            return
        while len(self._to_client) > LOW_WATER and not self._ended:
            self._taken.clear()
            await self._taken.wait()


def _payload(frame: bytes) -> bytes:
    """Return what is in a short or middle-sized frame (RFC 6455, 5.2)."""
    assert frame[0] == FINAL_TEXT
    begin = 4 if frame[1] == 126 else 2
    return frame[begin:]

"""A WebSocket peer at the ASGI border, for sessions without a server."""

import asyncio
import json
from typing import Any

from starlette.types import Message

from platform_api.realtime.session import Session
from platform_api.realtime.sockets import Sockets
from platform_domain.identity import Identity, UserId


class Peer:
    """What the client sends goes in by `says`; what the server sends is in `heard`.

    With `reads` cleared it takes nothing more, as a client whose buffers are full.
    """

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        self.close_code: int | None = None
        self.reads = asyncio.Event()
        self.reads.set()
        self._says: asyncio.Queue[Message] = asyncio.Queue()

    def says(self, text: str) -> None:
        self._says.put_nowait({"type": "websocket.receive", "text": text})

    def leaves(self, code: int = 1001) -> None:
        self._says.put_nowait({"type": "websocket.disconnect", "code": code})

    async def receive(self) -> Message:
        return await self._says.get()

    async def send(self, message: Message) -> None:
        await self.reads.wait()
        if message["type"] == "websocket.send":
            self.heard.append(json.loads(message["text"]))
        elif message["type"] == "websocket.close":
            self.close_code = message["code"]
            self.leaves(message["code"])


def session_of(peer: Peer, user: str = "alice", per_second: float = 1000) -> Session:
    return Session(Identity(UserId(user)), peer.receive, peer.send, per_second=per_second)


def joined(sockets: Sockets, peer: Peer, user: str = "alice") -> Session:
    return sockets.join(Identity(UserId(user)), peer.receive, peer.send)

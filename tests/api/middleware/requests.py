"""One request at an ASGI app, message by message."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Message, Scope


def scope_of(type: str = "http", *, path: str = "/", **headers: str) -> Scope:
    """Return a GET's scope; `_` in a header's name stands for `-`."""
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {
        "type": type,
        "method": "GET",
        "path": path,
        "query_string": b"",
        "headers": raw,
        "request_id": "r-1",
    }


def pieces(*bodies: bytes, whole: bool = True) -> list[Message]:
    """Return the messages of a body; `whole` says whether the last one is its end."""
    last = len(bodies) - 1
    return [
        {"type": "http.request", "body": body, "more_body": not (whole and number == last)}
        for number, body in enumerate(bodies)
    ]


@dataclass
class Exchange:
    """What the client sends, and what it was sent. After its last message it is silent."""

    incoming: list[Message] = field(default_factory=list)
    sent: list[Message] = field(default_factory=list)
    silence: asyncio.Event = field(default_factory=asyncio.Event)

    async def receive(self) -> Message:
        if not self.incoming:
            await self.silence.wait()
            return {"type": "http.disconnect"}
        return self.incoming.pop(0)

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    @property
    def headers(self) -> dict[str, str]:
        raw: Iterable[tuple[bytes, bytes]] = self.sent[0]["headers"]
        return {name.decode(): value.decode() for name, value in raw}

    @property
    def status(self) -> int:
        status: int = self.sent[0]["status"]
        return status


async def exchanged(app: ASGIApp, scope: Scope, *incoming: Message) -> Exchange:
    """Run the app to its end."""
    exchange = Exchange(list(incoming))
    await app(scope, exchange.receive, exchange.send)
    return exchange

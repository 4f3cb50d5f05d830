"""What goes over the WebSockets, and how an arrival is known to be the one that was due."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, Self

import orjson
from websockets.asyncio.client import ClientConnection

from benchmarks.http_client import PATIENCE_SECONDS, HttpClient
from benchmarks.open_loop import Latencies

Message = Mapping[str, Any]


class Traffic(Protocol):
    """`senders` take turns at sending. `received` gets the number of the socket it came on."""

    title: str
    senders: int
    latencies: Latencies

    async def send(self, number: int, due: float) -> None: ...

    def received(self, socket: int, message: Message) -> None: ...


class Pings:
    """Each socket pings, and expects its own pong."""

    title = "pings"

    def __init__(self, sockets: Sequence[ClientConnection]) -> None:
        self.senders = len(sockets)
        self.latencies = Latencies()
        self._sockets = sockets

    async def send(self, number: int, due: float) -> None:
        self.latencies.expect(str(number), due)
        ping = orjson.dumps({"type": "ping", "id": str(number)})
        await self._sockets[number % self.senders].send(ping, text=True)

    def received(self, socket: int, message: Message) -> None:
        if message["type"] == "pong":
            self.latencies.arrive(message["id"])


class Events:
    """Each user's project is renamed over HTTP, and all sockets of the user are told."""

    title = "events after a rename"

    def __init__(self, http: HttpClient, projects: Mapping[str, str], users: Sequence[str]) -> None:
        """`projects` are paths by user, `users` those of the sockets."""
        self.senders = len(projects)
        self.latencies = Latencies()
        self._http = http
        self._projects = list(projects.items())
        self._sockets_of = {
            user: [number for number, other in enumerate(users) if other == user]
            for user in projects
        }

    @classmethod
    async def prepared(
        cls, http: HttpClient, sockets: Sequence[ClientConnection], users: Sequence[str]
    ) -> Self:
        """Create the projects, then subscribe every socket to its user's events."""
        projects = {user: await http.create_project(user) for user in dict.fromkeys(users)}
        for socket, user in zip(sockets, users, strict=True):
            await _subscribe(socket, f"user:{user}")
        return cls(http, projects, users)

    async def send(self, number: int, due: float) -> None:
        user, path = self._projects[number % self.senders]
        name = f"Storyboard {number}"
        for socket in self._sockets_of[user]:
            self.latencies.expect((socket, name), due)
        await self._http.succeeds("PATCH", path, user=user, body={"name": name})

    def received(self, socket: int, message: Message) -> None:
        if message["type"] == "event":
            self.latencies.arrive((socket, message["data"]["name"]))


async def _subscribe(socket: ClientConnection, topic: str) -> None:
    """Raises RuntimeError when the server answers otherwise, TimeoutError when not at all."""
    await socket.send(orjson.dumps({"type": "subscribe", "topic": topic}), text=True)
    answer = {"type": "welcome"}
    while answer["type"] == "welcome":
        async with asyncio.timeout(PATIENCE_SECONDS):
            answer = orjson.loads(await socket.recv())
    if answer["type"] != "subscribed":
        raise RuntimeError(f"{topic} cannot be subscribed: {answer}")

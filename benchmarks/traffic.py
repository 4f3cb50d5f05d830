"""What goes over the WebSockets, and how an arrival is known to be the one that was due."""

from collections.abc import Mapping, Sequence
from typing import Protocol, Self

import orjson

from benchmarks.http_client import PATIENCE_SECONDS, HttpClient
from benchmarks.lines import Lines
from benchmarks.open_loop import Latencies


class Traffic(Protocol):
    """`senders` take turns at sending."""

    title: str
    senders: int
    lines: Lines
    latencies: Latencies

    async def send(self, number: int, due: float) -> None: ...


class Pings:
    """Each socket pings, and expects its own pong."""

    title = "pings"

    def __init__(self, port: int, users: Sequence[str]) -> None:
        self.senders = len(users)
        self.latencies = Latencies()
        self.lines = Lines(port, users, self._received)

    @classmethod
    async def prepared(cls, port: int, users: Sequence[str]) -> Self:
        pings = cls(port, users)
        await pings.lines.open()
        return pings

    async def send(self, number: int, due: float) -> None:
        line = number % self.senders
        if self.lines.tell(line, type="ping", id=str(number)):
            self.latencies.expect((line, str(number)), due)

    async def reset(self, line: int) -> None:
        """Break a line; what it waits for will not come any more."""
        self.latencies.forget(line)
        await self.lines.reset(line)

    def _received(self, line: int, message: bytes) -> None:
        said = orjson.loads(message)
        if said["type"] == "pong":
            self.latencies.arrive((line, said["id"]))


class Events:
    """Each user's project is renamed over HTTP, and all sockets of the user are told."""

    title = "events after a rename"

    def __init__(
        self, port: int, http: HttpClient, projects: Mapping[str, str], users: Sequence[str]
    ) -> None:
        """`projects` are paths by user, `users` those of the sockets."""
        self.senders = len(projects)
        self.latencies = Latencies()
        self.lines = Lines(port, users, self._received)
        self._http = http
        self._projects = list(projects.items())
        self._lines_of = {
            user: [line for line, other in enumerate(users) if other == user] for user in projects
        }

    @classmethod
    async def prepared(cls, port: int, http: HttpClient, users: Sequence[str]) -> Self:
        """Create the projects, then subscribe every socket to its user's events."""
        projects = {user: await http.create_project(user) for user in dict.fromkeys(users)}
        events = cls(port, http, projects, users)
        await events.lines.open()
        await events.subscribe(users)
        return events

    async def subscribe(self, users: Sequence[str]) -> None:
        """Raises TimeoutError when a socket is not subscribed."""
        for line, user in enumerate(users):
            self.latencies.expect(("subscribed", line), 0)
            self.lines.tell(line, type="subscribe", topic=f"user:{user}")
        await self.latencies.settle(PATIENCE_SECONDS)
        if self.latencies.missing:
            raise TimeoutError("Not every socket could be subscribed.")
        self.latencies.arrived.clear()

    async def send(self, number: int, due: float) -> None:
        user, path = self._projects[number % self.senders]
        name = f"Storyboard {number}"
        for line in self._lines_of[user]:
            self.latencies.expect((line, name), due)
        await self._http.succeeds("PATCH", path, user=user, body={"name": name})

    def _received(self, line: int, message: bytes) -> None:
        said = orjson.loads(message)
        if said["type"] == "event":
            self.latencies.arrive((line, said["data"]["name"]))
        elif said["type"] == "subscribed":
            self.latencies.arrive(("subscribed", line))

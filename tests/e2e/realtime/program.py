"""The real server over fakes, with a feature that misbehaves on demand.

`python -m tests.e2e.realtime.program '{…}'` takes the fields of `Options`.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

from platform_api.app import create_admin_app
from platform_api.operation import Operation
from platform_api.realtime.message import Message
from platform_api.realtime.messages import ClientMessage, Reply
from platform_api.realtime.topic import Parameters, Topic, TopicForbidden
from platform_api.schema import Output
from platform_api.server.hardening.limits import Limits
from platform_api.server.loop import new_loop
from platform_api.server.runner import Server
from platform_api.tasks import Supervisor, Task
from platform_config import ServerSettings, ShutdownSettings
from platform_domain.errors import Conflict
from platform_domain.events import TopicName
from platform_domain.identity import Identity, UserId
from platform_infrastructure.logging import configure
from tests.api.conftest import World


@dataclass(frozen=True)
class Options:
    loop: str = "uvloop"
    requests_timeout: float = 5.0
    task: str = "patient"


class Misbehave(ClientMessage):
    type: Literal["misbehave"]
    how: Literal["bug", "exit", "conflict", "hang"]


class Count(ClientMessage):
    type: Literal["count"]


class Counted(Reply):
    type: Literal["counted"] = "counted"
    times: int


class WhoAmI(ClientMessage):
    type: Literal["who_am_i"]


class YouAre(Reply):
    type: Literal["you_are"] = "you_are"
    user: str


class Held(Output):
    """What the server still holds for sockets."""

    sockets: int
    of_alice: int
    of_topic: int
    tasks: int


class Paths(Output):
    """How many sockets there are, and how many of them take frames directly."""

    sockets: int
    direct: int


class Slept(Output):
    ok: bool = True


class Broadcast(Output):
    sent: int


class Trouble:
    def __init__(self, world: World) -> None:
        self._world = world
        self._times = 0

    def messages(self) -> Sequence[Message]:
        return [Message(self.misbehave), Message(self.who_am_i), Message(self.count)]

    def topics(self) -> Sequence[Topic]:
        return [Topic("room:{name}", (), self.may_enter, presence=True)]

    def operations(self) -> Sequence[Operation]:
        return [
            Operation("GET", "/trial/held", self.held),
            Operation("GET", "/trial/paths", self.paths),
            Operation("POST", "/trial/slow", self.slow),
            Operation("POST", "/trial/broadcast", self.broadcast),
        ]

    async def may_enter(self, caller: Identity, parameters: Parameters) -> None:
        if parameters["name"] == "closed":
            raise TopicForbidden

    async def misbehave(self, *, message: Misbehave) -> None:
        match message.how:
            case "bug":
                raise ZeroDivisionError
            case "exit":
                sys.exit("a handler may not stop the server")
            case "conflict":
                raise Conflict
            case "hang":
                await asyncio.Event().wait()

    async def count(self, *, message: Count) -> Counted:
        self._times += 1
        return Counted(times=self._times)

    async def who_am_i(self, *, message: WhoAmI, caller: Identity) -> YouAre:
        return YouAre(user=caller.user)

    async def held(self) -> Held:
        sockets = self._world.sockets
        return Held(
            sockets=len(sockets),
            of_alice=len(sockets.of_user(UserId("alice"))),
            of_topic=len(sockets.of_topic("user:alice")),
            tasks=sum("socket" in task.get_name() for task in asyncio.all_tasks()),
        )

    async def paths(self) -> Paths:
        sessions = self._world.sockets.of_user(UserId("alice"))
        return Paths(sockets=len(sessions), direct=sum(s._direct is not None for s in sessions))

    async def slow(self) -> Slept:
        await self._world.lifecycle.draining.wait()
        await asyncio.sleep(0.3)
        return Slept()

    async def broadcast(self) -> Broadcast:
        """Tell alice's topic more than any socket's buffers hold, letting others in between."""
        text = json.dumps({"type": "padding", "padding": "x" * 14_000}).encode()
        for _ in range(700):
            await self._world.bus.publish(TopicName("user:alice"), text)
            await asyncio.sleep(0.005)
        return Broadcast(sent=700)


async def patient(stopping: asyncio.Event) -> None:
    print("task begun", flush=True)  # noqa: T201
    await stopping.wait()
    print("task told", flush=True)  # noqa: T201


async def crashing(stopping: asyncio.Event) -> None:
    raise ZeroDivisionError


TASKS = {"patient": patient, "crashing": crashing}


def main() -> None:
    options = Options(**json.loads(sys.argv[1]))
    configure("INFO", "pretty")
    world = World()
    trouble = Trouble(world)
    world.trial.given = trouble.operations()
    world.trial.given_messages = trouble.messages()
    world.trial.given_topics = trouble.topics()

    @asynccontextmanager
    async def resources() -> AsyncIterator[None]:
        own = [
            Task("event-catch-up", world.subscriptions.run),
            Task("presence", world.rooms.run),
        ]
        async with Supervisor([Task(options.task, TASKS[options.task]), *own]):
            yield

    server = Server(
        public=world.app(),
        admin=create_admin_app(world.settings, world.readings),
        settings=ServerSettings(port=0, admin_port=0),
        shutdown=ShutdownSettings(requests_timeout=options.requests_timeout),
        limits=Limits.of(world.settings.http, world.settings.sockets),
        lifecycle=world.lifecycle,
        resources=resources(),
        closers=[world.sockets.drain],
    )
    sys.exit(server.run(new_loop if options.loop == "uvloop" else asyncio.new_event_loop))


if __name__ == "__main__":
    main()

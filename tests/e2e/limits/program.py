"""The public application over fakes, on a real server: `python -m tests.e2e.limits.program '{}'`."""

import asyncio
import json
import os
import sys
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

from platform_api.app import create_admin_app
from platform_api.load_shedding import LoadShedding
from platform_api.operation import Operation
from platform_api.schema import Input, Output
from platform_api.server.hardening.limits import Limits
from platform_api.server.runner import Server
from platform_config import HttpSettings, ServerSettings, Settings, ShutdownSettings
from platform_infrastructure.logging import configure
from tests.api.conftest import World

LARGE_BODY = 4 * 1024 * 1024
LARGE_ANSWER = 16 * 1024 * 1024  # More than the kernel takes for a client that reads nothing.


@dataclass(frozen=True)
class Options:
    """`work` is the processor's time for one request of `/work`, in seconds."""

    work: float = 0.0
    http: dict[str, Any] = field(default_factory=dict)


class Told(Input):
    text: str


class One(Input):
    size: int = 0


class Items(Input):
    """Whatever may hold many values."""

    one: One | None = None
    texts: list[str] = []
    mixed: list[int | str | bool | list[int]] = []
    sizes: dict[str, int] = {}


class Size(Output):
    size: int


class Report(Output):
    text: str


class Ways:
    """Each operation is a way a handler may behave. `work` is in seconds."""

    def __init__(self, work: float) -> None:
        self._work = work

    def operations(self) -> list[Operation]:
        return [
            Operation("GET", "/trial/work", self.work),
            Operation("GET", "/trial/endless", self.endless),
            Operation("GET", "/trial/report", self.report),
            Operation("POST", "/trial/read", self.read),
            Operation("POST", "/trial/items", self.count),
            Operation("POST", "/trial/large", self.read_much, max_body=LARGE_BODY),
            Operation("POST", "/trial/unread", self.unread),
        ]

    async def work(self) -> Size:
        """Compute before and after others have their turn, as most handlers do."""
        for _ in range(2):
            compute(self._work / 2)
            await asyncio.sleep(0)
        return Size(size=0)

    async def endless(self) -> Size:
        try:
            await asyncio.Event().wait()
        finally:
            print("gave up", flush=True)  # noqa: T201 - the test reads it
        return Size(size=0)

    async def report(self) -> Report:
        return Report(text="x" * LARGE_ANSWER)

    async def read(self, *, body: Told) -> Size:
        return Size(size=len(body.text))

    async def count(self, *, body: Items) -> Size:
        return Size(size=len(body.texts) + len(body.mixed) + len(body.sizes))

    async def read_much(self, *, body: Told) -> Size:
        return Size(size=len(body.text))

    async def unread(self) -> Size:
        return Size(size=0)


def compute(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def main() -> None:
    options = Options(**json.loads(sys.argv[1]))
    configure("INFO", "json")
    print(f"Process {os.getpid()}", flush=True)  # noqa: T201 - the test reads it
    world = World(settings=Settings(http=HttpSettings(**options.http)))
    world.trial.given = Ways(options.work).operations()
    server = Server(
        public=world.app(),
        admin=create_admin_app(world.settings, world.readings),
        settings=ServerSettings(port=0, admin_port=0),
        shutdown=ShutdownSettings(),
        limits=Limits.of(world.settings.http, world.settings.sockets),
        lifecycle=world.lifecycle,
        resources=nullcontext(),
        shed=LoadShedding(world.capacity, world.lifecycle),
    )
    sys.exit(server.run())


if __name__ == "__main__":
    main()

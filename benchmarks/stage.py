"""Our server with one feature more: what one socket shows, every socket on the stage is told.

`python -m benchmarks.stage`, with settings as for `serve`. The way is the real one: the feature
publishes on the configured engine, and the subscriptions tell the sockets.
"""

import asyncio
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from dependency_injector.providers import List, Singleton

from platform_api.container import Container
from platform_api.feature import Feature
from platform_api.realtime.message import Message
from platform_api.realtime.messages import ClientMessage
from platform_api.realtime.topic import Parameters, Topic
from platform_api.server.loop import new_loop
from platform_config import load
from platform_domain.events import Event, Events, TopicName
from platform_domain.identity import Identity
from platform_infrastructure.logging import configure

STAGE = TopicName("stage")


class Show(ClientMessage):
    """Tell everybody on the stage."""

    type: Literal["show"]
    text: str


@dataclass(frozen=True, slots=True)
class Shown(Event):
    type = "shown"
    text: str


class Stage(Feature):
    def __init__(self, events: Events) -> None:
        self._events = events

    def topics(self) -> Sequence[Topic]:
        return [Topic(STAGE, (Shown,), self.welcome)]

    def messages(self) -> Sequence[Message]:
        return [Message(self.show)]

    async def welcome(self, caller: Identity, parameters: Parameters) -> None:
        """Everybody may listen."""

    async def show(self, *, message: Show) -> None:
        await self._events.publish(STAGE, Shown(message.text))


def main() -> int:
    settings = load().settings
    configure(settings.log.level, "json")
    container = Container(settings=settings)
    container.features.override(List(Singleton(Stage, container.events)))
    loop = asyncio.new_event_loop if os.environ["BENCHMARK_LOOP"] == "asyncio" else new_loop
    return int(container.server().run(loop))


if __name__ == "__main__":
    sys.exit(main())

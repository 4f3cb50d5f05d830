"""What may be said in a simulated world: topics of each policy, and two messages."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Literal

from platform_api.realtime.contract import Contract
from platform_api.realtime.encoder import EncodedEvents
from platform_api.realtime.message import Message
from platform_api.realtime.messages import ClientMessage
from platform_api.realtime.topic import SlowPolicy, Topic, TopicForbidden, Topics
from platform_domain.event_bus import EventBus
from platform_domain.events import Event, TopicName
from platform_domain.identity import Identity
from tests.api.realtime.simulation.journal import Journal

MAX_PUBLISH_SECONDS = 0.7
"""The engine's way there and back; anything more would be the wait for a listener."""
POLICIES = {
    "strict": SlowPolicy.DISCONNECT,
    "tail": SlowPolicy.DROP_OLDEST,
    "last": SlowPolicy.LATEST_ONLY,
}


@dataclass(frozen=True, slots=True)
class Said(Event):
    type = "said"
    text: str


class Say(ClientMessage):
    type: Literal["say"]
    topic: str
    text: str


class Brood(ClientMessage):
    """Handled for long, by who does not hear the first time that it is to end."""

    type: Literal["brood"]


class Speaker:
    """Handles messages on one node."""

    def __init__(self, bus: EventBus, journal: Journal, chance: Random) -> None:
        self._events = EncodedEvents(bus, lambda: contract().topics)
        self._journal = journal
        self._chance = chance
        self._handled: Counter[tuple[str, str | None]] = Counter()

    async def say(self, message: Say, user: str) -> None:
        await asyncio.sleep(self._chance.choice((0.0, 0.0, 0.3)))
        began = asyncio.get_running_loop().time()
        await self._events.publish(TopicName(message.topic), Said(message.text))
        took = asyncio.get_running_loop().time() - began
        self._journal.require(took <= MAX_PUBLISH_SECONDS, f"publishing took {took:.2f} s")
        self._handled[user, message.id] += 1
        once = self._handled[user, message.id] == 1
        self._journal.require(once, f"{message.id} was handled twice")


SPEAKER: ContextVar[Speaker] = ContextVar("speaker")


async def say(*, message: Say, caller: Identity) -> None:
    await SPEAKER.get().say(message, caller.user)


async def brood(*, message: Brood) -> None:
    with suppress(asyncio.CancelledError):
        await asyncio.sleep(3)
    await asyncio.sleep(3)


async def may_listen(caller: Identity, parameters: Mapping[str, str]) -> None:
    await asyncio.sleep(0.01)
    if parameters["id"] == "secret":
        raise TopicForbidden


@cache
def contract() -> Contract:
    """One for all nodes of all worlds: making it takes longer than some worlds last."""
    topics = [Topic(f"{name}:{{id}}", (Said,), may_listen, slow) for name, slow in POLICIES.items()]
    return Contract(Topics(topics), [Message(say), Message(brood)])

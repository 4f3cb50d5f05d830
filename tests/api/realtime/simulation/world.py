"""A world from a seed: clients that misbehave, an engine that fails, nodes that are drained.

First everything goes wrong at once. Then the faults end, and whoever is still there must come to
hear everything. Then all sockets are drained, and nothing may be left.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import count
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from platform_api.errors import meaning_of
from platform_api.realtime import endpoint as endpoint_module
from platform_api.realtime import session as session_module
from platform_api.realtime import sockets as sockets_module
from platform_api.realtime import subscriptions as subscriptions_module
from platform_api.realtime.outbox import Outbox
from platform_domain.errors import DomainError
from platform_domain.event_bus import Delivery, EventBus
from platform_domain.events import TopicName
from platform_infrastructure.events.memory import MemoryEventBus
from tests.api.realtime.simulation.bus import Broker, SimulatedBus
from tests.api.realtime.simulation.client import TOPICS, Client
from tests.api.realtime.simulation.journal import Journal, Violation, require
from tests.api.realtime.simulation.loop import VirtualLoop
from tests.api.realtime.simulation.node import Node

STANDARD_SEEDS = range(200)
CHAOS_SECONDS = 5.0
SETTLING_SECONDS = subscriptions_module.CHECK_SECONDS + 10.0
MAX_SETTLING_SECONDS = 400.0
CLIENTS = 6
STAYING = 3
CHECKS_OF_TASKS = 8
USERS = ("alice", "bob", "carol")


def simulate(seed: int) -> "World":
    """Live through the world of `seed`. Raises `Violation`, with the seed in it."""
    world = World(seed)
    loop = VirtualLoop(world.chance("steps"), world.check)
    try:
        with small(world, loop.time):
            loop.run(world.live())
    except Exception as error:
        raise Violation(f"seed {seed}, after {loop.time():.3f} s: {error}") from error
    world.trace = loop.trace
    return world


class World:
    """`trace` is the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self.journal = Journal()
        self.trace = 0
        self._checks = 0
        self._seed = seed
        self._chance = self.chance("world")
        self._broker = Broker(self.journal)
        self._nodes: list[Node] = []

    def chance(self, name: str) -> Random:
        return Random(f"{self._seed} {name}")

    def check(self) -> None:
        """Raises `Violation` when something is wrong just now."""
        self.journal.check()
        for node in self._nodes:
            node.check()
        self._checks += 1
        if self._checks % CHECKS_OF_TASKS == 0:  # What has leaked stays; to look takes long.
            self._check_tasks()

    def _check_tasks(self) -> None:
        living = {id for node in self._nodes for id in node.sockets._all}
        for name in [task.get_name() for task in asyncio.all_tasks()]:
            orphan = name.startswith("socket ") and name.split()[1] not in living
            require(not orphan, f"{name} outlived its socket")

    async def live(self) -> None:
        await self._begin()
        clients = [self._client(number) for number in range(CLIENTS)]
        await self._chaos(clients)
        await self._settle(clients[:STAYING])
        await self._end(clients[:STAYING])

    async def _begin(self) -> None:
        window = self._chance.choice((0.0, 0.5))
        for number, bus in enumerate(await self._buses()):
            self._nodes.append(Node(bus, self.journal, self.chance(f"node {number}"), window))

    async def _buses(self) -> Sequence[EventBus]:
        if self._chance.random() < 0.2:
            bus = MemoryEventBus(asyncio.get_running_loop().time)
            for topic in TOPICS:
                await bus.subscribe(TopicName(topic), self._remember, lambda: None)
            return [bus]
        nodes = self._chance.choice((1, 2, 2))
        return [SimulatedBus(self._broker, self.chance(f"bus {number}")) for number in range(nodes)]

    def _remember(self, delivery: Delivery) -> None:
        self.journal.truth[delivery.topic, delivery.position] = delivery.data

    def _client(self, number: int) -> Client:
        return Client(
            f"c{number}",
            USERS[number % len(USERS)],
            lambda: [node for node in self._nodes if not node.is_closed],
            self.journal,
            self.chance(f"client {number}"),
        )

    async def _chaos(self, clients: Sequence[Client]) -> None:
        over = asyncio.Event()
        troubles = [self._watched(partial(client.misbehave, over)) for client in clients]
        troubles += [self._watched(partial(self._break, node, over)) for node in self._nodes]
        troubles.append(self._watched(partial(self._drain_one, over)))
        await asyncio.sleep(CHAOS_SECONDS)
        over.set()
        await asyncio.wait(troubles)

    async def _settle(self, clients: Sequence[Client]) -> None:
        staying = [self._watched(partial(client.stay, SETTLING_SECONDS)) for client in clients]
        _, restless = await asyncio.wait(staying, timeout=MAX_SETTLING_SECONDS)
        if restless:
            raise Violation(f"{len(restless)} clients could not settle")
        for node in self._nodes:
            node.check_settled()
            heads = await node.bus.heads([TopicName(topic) for topic in TOPICS])
            for client in clients:
                if client.node is node:
                    client.check_settled(dict(zip(TOPICS, heads, strict=True)))

    async def _end(self, clients: Sequence[Client]) -> None:
        await asyncio.gather(*(node.drain() for node in self._nodes))
        await asyncio.gather(*(node.stop() for node in self._nodes))
        for client in clients:
            client.check_drained()
        await asyncio.sleep(1)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if left:
            raise Violation(f"tasks are left: {left}")

    async def _break(self, node: Node, over: asyncio.Event) -> None:
        """Do harm to a node and its engine, now and then."""
        chance = self.chance(f"harm {self._nodes.index(node)}")
        while not over.is_set():
            await asyncio.sleep(chance.choice((0.1, 1.0, 3.0)))
            if node.apps and chance.random() < 0.35:
                await self._kill(node, chance)
            if isinstance(node.bus, SimulatedBus):
                await self._break_bus(node.bus, chance)

    async def _kill(self, node: Node, chance: Random) -> None:
        task = chance.choice(list(node.apps))
        for _ in range(chance.choice((1, 2, 2))):
            node.kill(task)
            await asyncio.sleep(0)

    async def _break_bus(self, bus: SimulatedBus, chance: Random) -> None:
        bus.loses = chance.choice((0.0, 0.0, 0.2))
        await asyncio.sleep(chance.choice((0.0, 1.0)))
        bus.loses = 0.0
        if chance.random() < 0.25:
            bus.cut()
            await asyncio.sleep(chance.choice((0.0, 0.5, 4.0)))
        if chance.random() < 0.1:
            self._broker.forget()
        bus.mend()

    async def _drain_one(self, over: asyncio.Event) -> None:
        if len(self._nodes) > 1 and self._chance.random() < 0.5:
            await asyncio.sleep(self._chance.uniform(0, CHAOS_SECONDS))
            await self._nodes[0].drain()

    def _watched(self, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        return asyncio.create_task(self.journal.watched(work), name="world")


@contextmanager
def small(world: World, clock: Callable[[], float]) -> Iterator[None]:
    """Bounds that a small world can reach, and no clock or chance but the world's own."""
    numbers = count(1)
    with pytest.MonkeyPatch.context() as patch:
        # Else a set of sessions has another order in each process.
        ids = SimpleNamespace(token_hex=lambda size: f"{next(numbers):0{2 * size}x}")
        patch.setattr(session_module, "secrets", ids)
        patch.setattr(session_module.Session, "__hash__", lambda session: int(session.id, 16))
        patch.setattr(session_module, "Outbox", partial(Outbox, 10, 2_000))
        patch.setattr(session_module, "INBOX_MESSAGES", 24)
        patch.setattr(session_module, "time", SimpleNamespace(monotonic=clock))
        patch.setattr(sockets_module, "random", world.chance("goodbyes"))
        patch.setattr(subscriptions_module, "RESUME_MESSAGES", 5)
        patch.setattr(subscriptions_module, "RESUME_BYTES", 1_000)

        def judged(error: BaseException, request_id: str) -> Any:
            if not isinstance(error, DomainError):
                world.journal.errors.append(error)
            return meaning_of(error, request_id)

        patch.setattr(endpoint_module, "meaning_of", judged)
        yield

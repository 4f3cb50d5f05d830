"""One user at one page: connects, talks, misbehaves, comes back, and in the end stays."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any

from platform_api.realtime.close_codes import CloseCode
from platform_domain.event_bus import Position
from platform_domain.identity import UserId
from tests.api.realtime.simulation.connection import Connection
from tests.api.realtime.simulation.journal import Journal, require
from tests.api.realtime.simulation.node import Node

TOPICS = ("strict:1", "strict:2", "tail:1", "last:1")
HEARTBEAT_SECONDS = 40.0
"""After so long the server notices that a peer has vanished."""
PATIENCE_SECONDS = 5.0
FLOOD = 60
CALM = {"subscribe": 5, "explore": 1, "unsubscribe": 2, "say": 6, "ping": 1}
MISDEEDS = ("again", "deaf", "flood", "nonsense", "secret", "brood", "leave", "vanish")


class Client:
    """Acts by chance. `nodes` says who takes connections at the moment."""

    def __init__(
        self,
        name: str,
        user: str,
        nodes: Callable[[], Sequence[Node]],
        journal: Journal,
        chance: Random,
    ) -> None:
        self.user = user
        self.connection: Connection | None = None
        self.node: Node | None = None
        self._nodes = nodes
        self._journal = journal
        self._chance = chance
        self._known: dict[str, Position] = {}
        self._unanswered: dict[str, dict[str, Any]] = {}
        self._ids = _numbered(name)
        self._favourites = chance.sample(TOPICS, 2)
        # Each client has a few habits: one that does everything would never get far.
        self._habits = CALM | {deed: 1 for deed in chance.sample(MISDEEDS, chance.randint(0, 4))}

    async def misbehave(self, until: asyncio.Event) -> None:
        while not until.is_set():
            connection = self._connect()
            self._come_back(connection)
            while not (connection.over.is_set() or until.is_set()):
                self._act(connection)
                await asyncio.sleep(self._chance.choice((0.0, 0.0, 0.0, 0.05, 0.5, 2.0)))
            self._part(connection)
            await asyncio.sleep(self._chance.choice((0.0, 0.1, 1.0)))

    async def stay(self, seconds: float) -> None:
        """Return when everything could be listened to for so long without a break."""
        while True:
            connection = self._connect()
            for topic in self._favourites:
                connection.subscribe(topic, self._known.get(topic))
            await asyncio.wait([connection.reading], timeout=PATIENCE_SECONDS)
            if connection.listeners.keys() == set(self._favourites):
                connection.ask(type="say", topic=self._favourites[0], text="All is calm.")
                await asyncio.wait([connection.reading], timeout=seconds)
                if not connection.over.is_set():
                    return
            connection.wire.leave(1000)

    def check_settled(self, heads: Mapping[str, Position]) -> None:
        """Raises `Violation` unless everything has been heard and every message was answered."""
        assert self.connection is not None
        assert self.node is not None
        places = {topic: heard.place for topic, heard in self.connection.listeners.items()}
        for topic in self._favourites:
            require(places[topic] == heads[topic], f"{places[topic]} is not {heads[topic]}")
        require(not self.connection.asked, f"never answered: {self.connection.asked}")
        for index in (
            self.node.sockets.of_user(UserId(self.user)),
            *map(self.node.sockets.of_topic, self._favourites),
        ):
            ids = {session.id for session in index}
            require(self.connection.session in ids, f"{self.user} is not in the books")

    def check_drained(self) -> None:
        """Raises `Violation` unless the server said that it restarts."""
        assert self.connection is not None
        code = self.connection.wire.close_code
        require(code == CloseCode.SERVICE_RESTART, f"{self.user} saw {code} instead of 1012")

    def _connect(self) -> Connection:
        self.node = self._chance.choice(self._nodes())
        wire = self.node.connect(self.user, direct=self._chance.random() < 0.5)
        self.connection = Connection(wire, self._known, self._ids, self._journal, self._chance)
        return self.connection

    def _come_back(self, connection: Connection) -> None:
        """Ask again what was not answered, and hear on where we were."""
        for id, asked in self._unanswered.items():
            connection.ask(id, **asked)
        self._unanswered = {}
        for topic in TOPICS:
            if self._chance.random() < 0.6:
                connection.subscribe(topic, self._known.get(topic))

    def _part(self, connection: Connection) -> None:
        connection.reads.set()
        if not connection.vanished:
            connection.wire.leave(1001)
        asked = connection.asked.items()
        self._unanswered = {id: message for id, message in asked if message["type"] == "say"}

    def _act(self, connection: Connection) -> None:
        (deed,) = self._chance.choices(list(self._habits), list(self._habits.values()))
        topic = self._chance.choice(TOPICS)
        match deed:
            case "subscribe":
                connection.subscribe(topic, self._since(topic))
            case "explore":
                connection.subscribe(f"strict:{next(self._ids)}", Position("epoch-1", 0))
            case "unsubscribe":
                connection.ask(type="unsubscribe", topic=topic)
            case "say":
                self._say(connection, topic)
            case "again":
                self._come_back(connection)
            case "deaf":
                connection.be_deaf(self._chance.choice((1.0, 5.0, 20.0)))
            case "flood":
                for _ in range(self._chance.choice((FLOOD // 3, FLOOD))):
                    connection.ask(type="ping")
            case "secret":
                connection.subscribe("strict:secret", None)
            case "leave":
                connection.wire.leave(self._chance.choice((1000, 1001)))
            case "vanish":
                connection.vanish(HEARTBEAT_SECONDS)
            case other:  # "ping", "brood", and "nonsense", which nobody knows
                connection.ask(type=other)

    def _say(self, connection: Connection, topic: str) -> None:
        for number in range(self._chance.choice((1, 1, 3, 12))):
            text = f"{next(self._ids)} {'x' * self._chance.choice((0, 0, 200))} {number}"
            connection.ask(type="say", topic=topic, text=text)

    def _since(self, topic: str) -> Position | None:
        known = self._known.get(topic)
        if known is None or self._chance.random() < 0.3:
            return None
        back = self._chance.choice((0, 0, 1, 3))
        return Position(known.epoch, max(0, known.offset - back))


def _numbered(name: str) -> Iterator[str]:
    number = 0
    while True:
        number += 1
        yield f"{name}-{number}"

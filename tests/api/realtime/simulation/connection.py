"""One socket of a client: what it asked for, and what it was answered."""

import asyncio
from collections.abc import Iterator
from random import Random
from typing import Any

from platform_domain.event_bus import Position
from tests.api.realtime.simulation.journal import Journal, require
from tests.api.realtime.simulation.listener import Listener, position
from tests.api.realtime.simulation.speech import POLICIES
from tests.api.realtime.simulation.wire import ABNORMAL, Wire


class Connection:
    """Speaks the protocol as an SPA does, and believes nothing: all that is heard is checked."""

    def __init__(
        self,
        wire: Wire,
        known: dict[str, Position],
        ids: Iterator[str],
        journal: Journal,
        chance: Random,
    ) -> None:
        """`known` are the places the client has come to, on whatever socket."""
        self.wire = wire
        self.session: str | None = None
        self.listeners: dict[str, Listener] = {}
        self.asked: dict[str, dict[str, Any]] = {}
        self.vanished = False
        self.over = asyncio.Event()
        self.reads = asyncio.Event()
        self.reads.set()
        self._known = known
        self._journal = journal
        self._pace = chance.choice((0.0, 0.0, 0.02, 0.1, 0.5))
        self._ids = ids
        self.reading = asyncio.create_task(journal.watched(self._listen), name="client")

    async def _listen(self) -> None:
        """Read until the end."""
        try:
            while (message := await self.wire.read()) is not None:
                self._journal.seen[message["type"]] += 1
                self._take(message)
                await asyncio.sleep(self._pace)
                await self.reads.wait()
            self._journal.seen[f"close {self.wire.close_code}"] += 1
        finally:
            self.over.set()

    def ask(self, id: str | None = None, **message: Any) -> None:
        """Send a message that must be answered."""
        id = id or next(self._ids)
        self.asked[id] = message
        self.wire.say({"id": id, **message})

    def subscribe(self, topic: str, since: Position | None) -> None:
        message: dict[str, Any] = {"type": "subscribe", "topic": topic}
        if since is not None:
            message["since"] = {"epoch": since.epoch, "offset": since.offset}
        self.ask(**message)

    def be_deaf(self, seconds: float) -> None:
        """Read nothing for a while."""
        self.reads.clear()
        asyncio.get_running_loop().call_later(seconds, self.reads.set)

    def vanish(self, noticed_after: float) -> None:
        """Be gone without a word; the server hears of it much later."""
        self.vanished = True
        self.reading.cancel()
        self.over.set()
        asyncio.get_running_loop().call_later(noticed_after, self.wire.leave, ABNORMAL)

    def _take(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "welcome":
                self.session = message["session"]
            case "event":
                self._event(message)
            case "reset":
                self._listener(message).begin(position(message))
                self._known[message["topic"]] = position(message)
            case "dropped":
                self._listener(message).drop(message["count"])
            case "goodbye":
                pass
            case _:
                self._answer(message)

    def _event(self, message: dict[str, Any]) -> None:
        place = position(message)
        self._listener(message).hear(place)
        self._known[message["topic"]] = place
        text = self._journal.truth.get((message["topic"], place), b"").decode()
        require(message["data"]["text"] in text, f"{message} is not what was said: {text}")

    def _answer(self, message: dict[str, Any]) -> None:
        asked = self.asked.pop(message.get("id", ""), None)
        require(asked, f"nobody asked for {message}, or it was answered before")
        if message["type"] == "subscribed":
            self._subscribed(asked or {}, message)
        if message["type"] == "unsubscribed":
            self.listeners.pop(message["topic"], None)
        if message["type"] == "error":
            self._journal.seen[f"error {message['code']}"] += 1
            require(message["code"] != "internal_error", f"{asked} met a bug")

    def _subscribed(self, asked: dict[str, Any], message: dict[str, Any]) -> None:
        topic, place = message["topic"], position(message)
        self._journal.seen[f"recovered {message.get('recovered')}"] += 1
        if message.get("recovered"):
            place = Position(**asked["since"])
        listener = self.listeners.get(topic)
        if listener is None:
            self.listeners[topic] = Listener(topic, POLICIES[topic.split(":")[0]], place)
        else:
            listener.begin(place)
        self._known[topic] = place

    def _listener(self, message: dict[str, Any]) -> Listener:
        listener = self.listeners.get(message["topic"])
        require(listener, f"{message} came to who does not listen")
        assert listener is not None
        return listener

"""Who is present on the topics that are heard here, told to the sockets that listen.

Who is here is what `Sockets` says, who is elsewhere what the engine says. Both are only ever
compared, with what the sockets were told and with what the engine was: so whatever was missed is
made up for by the next look. Notices between nodes only make that look come sooner.
"""

import asyncio
import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import orjson

from platform_api.realtime.messages import PresenceChanged, PresenceSnapshot, ServerMessage
from platform_api.realtime.outbox import Text
from platform_api.realtime.session import Session
from platform_api.realtime.sockets import Sockets
from platform_api.tasks import pause
from platform_domain.errors import Unavailable
from platform_domain.event_bus import Delivery, EventBus
from platform_domain.events import TopicName
from platform_domain.identity import UserId
from platform_domain.presence import LEASE_SECONDS, Attendance, Member, Presence

BEAT_SECONDS = LEASE_SECONDS / 3
WINDOW_SECONDS = 0.1
"""What changes within it is told together."""
REST = 4
"""So many times as long as a look took, the next one waits: it may cost a fifth of the time."""
MAX_NAMED = 1000
"""A list of more users than this would not fit where messages wait for slow sockets."""
TOPICS_AT_ONCE = 500
TOPICS_PER_NOTICE = 12
"""As many of the longest names as fit into one event."""
NOTICES = TopicName("presence::")
"""No pattern of a feature's topics matches an empty part, so no client can listen to this."""


@dataclass(frozen=True, slots=True)
class Roll:
    """Who is on a topic: how many, and the first of them by name, the same ones on every node."""

    named: frozenset[UserId] = frozenset()
    count: int = 0

    @classmethod
    def of(cls, users: frozenset[UserId]) -> "Roll":
        named = users if len(users) <= MAX_NAMED else frozenset(sorted(users)[:MAX_NAMED])
        return cls(named, len(users))

    def whole(self, topic: str) -> PresenceSnapshot:
        return PresenceSnapshot(topic=topic, users=sorted(self.named), count=self.count)

    def since(self, before: "Roll", topic: str) -> PresenceChanged:
        return PresenceChanged(
            topic=topic,
            joined=sorted(self.named - before.named),
            left=sorted(before.named - self.named),
            count=self.count,
        )


@dataclass(slots=True)
class Room:
    """A topic as its sockets on this node know it; `elsewhere` is None until the engine has said."""

    elsewhere: frozenset[UserId] | None = None
    told: Roll = Roll()
    newcomers: set[Session] = field(default_factory=set)


class Rooms:
    """The topics with presence that have sockets here."""

    def __init__(self, presence: Presence, bus: EventBus, sockets: Sockets) -> None:
        self._presence = presence
        self._bus = bus
        self._sockets = sockets
        self._node = secrets.token_hex(8)
        self._rooms: dict[TopicName, Room] = {}
        self._changed: set[TopicName] = set()
        self._news = asyncio.Event()
        self._listening = False
        self._beat_at = 0.0
        self._doubtful_until = 0.0

    def enter(self, session: Session, topic: str) -> None:
        """Have a session that hears `topic` told who is there, and the others that its user is."""
        name = TopicName(topic)
        self._rooms.setdefault(name, Room()).newcomers.add(session)
        self._note([name])

    def leave(self, topics: Iterable[str]) -> None:
        """Take note that a session hears these topics no more."""
        self._note(map(TopicName, topics))

    async def run(self, stopping: asyncio.Event) -> None:
        """Tell who comes and goes; in the end, that everybody here has gone."""
        clock = asyncio.get_running_loop().time
        waking = asyncio.create_task(self._wake_at(stopping))
        try:
            while not stopping.is_set():
                await self._wait()
                began = clock()
                with suppress(Unavailable):  # The next beat tries again.
                    await self._look()
                rest = max(WINDOW_SECONDS, (clock() - began) * REST)
                await pause(stopping, min(rest, self._beat_at - clock()))
        finally:
            waking.cancel()
        await self._end()

    async def _wake_at(self, stopping: asyncio.Event) -> None:
        await stopping.wait()
        self._news.set()

    def _note(self, topics: Iterable[TopicName]) -> None:
        if known := self._rooms.keys() & set(topics):
            self._changed |= known
            self._news.set()

    async def _wait(self) -> None:
        """Return when something has changed, or when it is time to look at everything."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(self._beat_at if self._rooms else None):
                await self._news.wait()
        self._news.clear()

    async def _look(self) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._beat_at:
            self._beat_at = now + BEAT_SECONDS
            self._changed = set(self._rooms)
            await self._beat()
        topics, self._changed = sorted(self._changed), set()
        for start in range(0, len(topics), TOPICS_AT_ONCE):
            await self._look_at(topics[start : start + TOPICS_AT_ONCE])

    async def _beat(self) -> None:
        """Say that this node lives, and hear from others from the first time on."""
        try:
            if not self._listening:
                await self._bus.subscribe(NOTICES, self._hear, self._interrupted)
                self._listening = True
            await self._presence.renew()
        except Unavailable:
            self._doubt()

    def _hear(self, notice: Delivery) -> None:
        node, *topics = orjson.loads(notice.data)
        if node != self._node:
            self._note(topics)

    def _interrupted(self) -> None:
        self._doubt()
        self._note(list(self._rooms))

    async def _look_at(self, topics: Sequence[TopicName]) -> None:
        try:
            found = await self._presence.snapshot(topics)
        except Unavailable:
            self._doubt()
            found = {}
        self._learn(found)
        for topic in topics:
            self._tell(topic, self._rooms[topic])
        self._forget_empty(found)
        await self._correct(found)

    def _doubt(self) -> None:
        """An engine that was away may have lost what it knew. Other nodes say it again with their
        next beat; until then nobody who is elsewhere is taken for gone."""
        self._doubtful_until = asyncio.get_running_loop().time() + LEASE_SECONDS

    def _learn(self, found: Mapping[TopicName, Attendance]) -> None:
        in_doubt = asyncio.get_running_loop().time() < self._doubtful_until
        for topic, attendance in found.items():
            room = self._rooms[topic]
            known = room.elsewhere or frozenset()
            room.elsewhere = attendance.elsewhere | (known if in_doubt else frozenset())

    def _tell(self, topic: TopicName, room: Room) -> None:
        listeners = self._sockets.of_topic(topic)
        room.newcomers &= listeners
        if room.elsewhere is None:
            return
        before, room.told = room.told, Roll.of(room.elsewhere | self._here(topic))
        newcomers, room.newcomers = room.newcomers, set()
        if newcomers:
            _tell_all(newcomers, room.told.whole(topic))
        if room.told != before:
            _tell_all(listeners - newcomers, room.told.since(before, topic))

    def _here(self, topic: TopicName) -> frozenset[UserId]:
        return frozenset(session.identity.user for session in self._sockets.of_topic(topic))

    def _forget_empty(self, found: Mapping[TopicName, Attendance]) -> None:
        # Not before the engine has agreed: else what it keeps of this node would stay.
        for topic, attendance in found.items():
            if not attendance.here and not self._sockets.is_heard(topic):
                del self._rooms[topic]
                self._changed.discard(topic)

    async def _correct(self, found: Mapping[TopicName, Attendance]) -> None:
        """Say to the engine who is here, where it knows something else."""
        joined: list[Member] = []
        left: list[Member] = []
        for topic, attendance in found.items():
            here = self._here(topic)
            joined += [Member(topic, user) for user in here - attendance.here]
            left += [Member(topic, user) for user in attendance.here - here]
        if joined:
            await self._presence.join(joined)
        if left:
            await self._presence.leave(left)
        await self._announce({member.topic for member in (*joined, *left)})

    async def _announce(self, topics: Collection[TopicName]) -> None:
        names = sorted(topics)
        for start in range(0, len(names), TOPICS_PER_NOTICE):
            notice = orjson.dumps([self._node, *names[start : start + TOPICS_PER_NOTICE]])
            await self._bus.publish(NOTICES, notice)

    async def _end(self) -> None:
        if self._listening:
            with suppress(Unavailable):  # Then the lease ends by itself.
                await self._presence.end()
                await self._announce(self._rooms)


def _tell_all(sessions: Iterable[Session], message: ServerMessage) -> None:
    text = Text(message.model_dump_json().encode())
    for session in sessions:
        session.tell_text(text)

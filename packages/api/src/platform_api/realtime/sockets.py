"""All live sockets of this process: by socket, by user, by topic."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Collection
from typing import TypeVar

from starlette.types import Receive, Send

from platform_api.errors import ShuttingDown
from platform_api.realtime.close_codes import CloseCode
from platform_api.realtime.messages import Goodbye
from platform_api.realtime.outbox import Text
from platform_api.realtime.session import Session
from platform_api.realtime.topic import SlowPolicy
from platform_config import SocketsSettings
from platform_domain.errors import TooManyRequests, Unavailable
from platform_domain.identity import Identity, UserId

Key = TypeVar("Key", bound=str)

BATCH_SECONDS = 0.1
RECONNECT_MIN_MS = 100
RECONNECT_MAX_MS = 2000
DEFAULT = SocketsSettings()


class SocketsFull(Unavailable):
    code = "sockets_full"
    message = "The server holds as many connections as it can. Try again in a moment."


class TooManySockets(TooManyRequests):
    code = "too_many_sockets"
    message = "You have too many connections open. Close some first."


class TooManyTopics(TooManyRequests):
    code = "too_many_topics"
    message = "This socket hears as many topics as it may. Unsubscribe from some first."


class Sockets:
    """Who is connected. Only bookkeeping: nothing here waits, apart from the drain."""

    def __init__(self, settings: SocketsSettings = DEFAULT) -> None:
        self._settings = settings
        self._all: dict[str, Session] = {}
        self._by_user: defaultdict[UserId, set[Session]] = defaultdict(set)
        self._by_topic: defaultdict[str, set[Session]] = defaultdict(set)
        self._slow: dict[str, SlowPolicy] = {}
        self._draining = False
        self._emptied = asyncio.Event()

    def __len__(self) -> int:
        return len(self._all)

    def of_user(self, user: UserId) -> frozenset[Session]:
        return frozenset(self._by_user.get(user, ()))

    def of_topic(self, topic: str) -> frozenset[Session]:
        return frozenset(self._by_topic.get(topic, ()))

    def is_heard(self, topic: str) -> bool:
        return topic in self._by_topic

    def check_room(self, user: UserId) -> None:
        """Raises `ShuttingDown` when the server lets sockets go already, `SocketsFull` or
        `TooManySockets` when there are as many as there may be."""
        if self._draining:
            raise ShuttingDown
        if len(self._all) >= self._settings.max:
            raise SocketsFull
        if len(self._by_user.get(user, ())) >= self._settings.max_per_user:
            raise TooManySockets

    def join(self, identity: Identity, receive: Receive, send: Send) -> Session:
        """Return a new session. Raises what `check_room` raises."""
        self.check_room(identity.user)
        session = Session(identity, receive, send, per_second=self._settings.messages_per_second)
        self._all[session.id] = session
        self._by_user[identity.user].add(session)
        return session

    def check_topics(self, session: Session, topic: str) -> None:
        """Raises `TooManyTopics` when the session hears as many others as it may."""
        if topic not in session.topics and len(session.topics) >= self._settings.max_topics:
            raise TooManyTopics

    def leave(self, session: Session) -> None:
        """Forget the session and its topics."""
        for topic in list(session.topics):
            self.exit(session, topic)
        self._all.pop(session.id, None)
        _discard(self._by_user, session.identity.user, session)
        if self._draining and not self._all:
            self._emptied.set()

    def enter(self, session: Session, topic: str, slow: SlowPolicy = SlowPolicy.DISCONNECT) -> None:
        """Let the session hear a topic; `slow` is the policy of the topic."""
        session.topics.add(topic)
        self._by_topic[topic].add(session)
        self._slow[topic] = slow

    def exit(self, session: Session, topic: str) -> None:
        session.topics.discard(topic)
        _discard(self._by_topic, topic, session)
        if topic not in self._by_topic:
            self._slow.pop(topic, None)

    def tell(self, topic: str, text: Text, except_for: Collection[Session] = ()) -> None:
        """Queue one text for every socket of a topic."""
        slow = self._slow.get(topic, SlowPolicy.DISCONNECT)
        for session in self._by_topic.get(topic, ()):
            if session not in except_for:
                session.tell_text(text, slow)

    async def drain(self) -> None:
        """Say goodbye to every socket, close it with 1012, and wait until all are gone."""
        self._draining = True
        leaving = list(self._all.values())
        batches = max(1, round(self._settings.drain_window / BATCH_SECONDS))
        for batch in range(batches):
            for session in leaving[batch::batches]:
                session.tell(Goodbye(reconnect_after_ms=_reconnect_after()))
                session.close(CloseCode.SERVICE_RESTART)
            if batch + 1 < batches:
                await asyncio.sleep(BATCH_SECONDS)
        # Of all, not of each: one that is cancelled before it was accepted never runs.
        if self._all:
            await self._emptied.wait()


def _reconnect_after() -> int:
    # Spread, so that all clients of a restarted server do not come back in one moment.
    return random.randint(RECONNECT_MIN_MS, RECONNECT_MAX_MS)  # noqa: S311


def _discard(index: defaultdict[Key, set[Session]], key: Key, session: Session) -> None:
    sessions = index.get(key, set())
    sessions.discard(session)
    if not sessions:
        index.pop(key, None)

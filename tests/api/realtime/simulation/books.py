"""Whether what a node remembers is right: who is here, who hears what, and what waits for whom."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from platform_api.realtime.session import Session
from platform_api.realtime.sockets import Sockets
from platform_api.realtime.subscriptions import Subscriptions
from platform_config import SocketsSettings
from tests.api.realtime.simulation.journal import require
from tests.api.realtime.simulation.wire import Wire


def check_limits(sockets: Sockets, limits: SocketsSettings) -> None:
    """Raises `Violation`."""
    require(len(sockets) <= limits.max, f"{len(sockets)} sockets")
    by_user = Counter(session.identity.user for session in sockets._all.values())
    require(max(by_user.values(), default=0) <= limits.max_per_user, "too many of one user")


def check_books(sockets: Sockets, subscriptions: Subscriptions, wires: set[Wire]) -> None:
    """Raises `Violation` when the books do not agree with each other and with the `wires` that
    are served."""
    sessions = sockets._all.values()
    _same_index(sockets._by_user, {(s.identity.user, s.id) for s in sessions}, "user")
    _same_index(sockets._by_topic, {(t, s.id) for s in sessions for t in s.topics}, "topic")
    _check_subscriptions(subscriptions, sockets)
    for session in sessions:
        wire: Wire = session._receive.__self__  # type: ignore[attr-defined]
        require(wire in wires, "a socket is kept that is gone")
        _check_outbox(session)


def _same_index(index: Mapping[Any, set[Session]], truth: set[Any], name: str) -> None:
    found = {(key, session.id) for key, sessions in index.items() for session in sessions}
    require(found == truth, f"the index by {name} is not what the sockets say")
    require(all(index.values()), f"an empty entry is kept by {name}")


def _check_subscriptions(subscriptions: Subscriptions, sockets: Sockets) -> None:
    known = sockets._by_topic.keys() <= subscriptions._positions.keys()
    require(known, "a topic is heard that nobody asked for")
    for topic, ahead in subscriptions._ahead.items():
        strangers = ahead.keys() - sockets.of_topic(topic)
        require(not strangers, f"who does not hear {topic} is remembered as ahead of it")


def _check_outbox(session: Session) -> None:
    outbox = session._outbox
    require(len(outbox._waiting) <= outbox._max_messages, "too many messages wait")
    if not outbox._closed:
        size = sum(text.size for text in outbox._waiting)
        require(outbox._bytes == size <= outbox._max_bytes, "what waits is not what was counted")

"""Presence in one process, and the attendance that all engines compute."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from platform_domain.events import TopicName
from platform_domain.identity import UserId
from platform_domain.presence import Attendance, Member, Presence


def attendances(
    topics: Collection[TopicName], kept: Iterable[tuple[str, str, bool]]
) -> Mapping[TopicName, Attendance]:
    """Return the attendance of each topic. `kept` has the topic, the user, and whether the user is
    on this node."""
    here: defaultdict[str, set[UserId]] = defaultdict(set)
    elsewhere: defaultdict[str, set[UserId]] = defaultdict(set)
    for topic, user, is_here in kept:
        (here if is_here else elsewhere)[topic].add(UserId(user))
    return {
        topic: Attendance(frozenset(here[topic]), frozenset(elsewhere[topic])) for topic in topics
    }


class MemoryPresence(Presence):
    def __init__(self) -> None:
        self._users: defaultdict[TopicName, set[UserId]] = defaultdict(set)

    async def join(self, members: Collection[Member]) -> None:
        for member in members:
            self._users[member.topic].add(member.user)

    async def leave(self, members: Collection[Member]) -> None:
        for member in members:
            self._users[member.topic].discard(member.user)
            if not self._users[member.topic]:
                del self._users[member.topic]

    async def snapshot(self, topics: Collection[TopicName]) -> Mapping[TopicName, Attendance]:
        return {topic: Attendance(frozenset(self._users.get(topic, ()))) for topic in topics}

    async def renew(self) -> None:
        """A process that can be asked lives."""

    async def end(self) -> None:
        self._users.clear()

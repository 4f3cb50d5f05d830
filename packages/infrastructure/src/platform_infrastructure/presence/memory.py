"""Presence within one process: there is no elsewhere."""

from collections import defaultdict
from collections.abc import Collection, Mapping

from platform_domain.events import TopicName
from platform_domain.identity import UserId
from platform_domain.presence import Attendance, Member, Presence


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

"""The port that knows who is present on which topic, on all nodes together."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from platform_domain.events import TopicName
from platform_domain.identity import UserId

LEASE_SECONDS = 9.0
"""A node that has not renewed for so long is taken for dead, and its users for gone."""


@dataclass(frozen=True, slots=True)
class Member:
    """A user on a topic."""

    topic: TopicName
    user: UserId


@dataclass(frozen=True, slots=True)
class Attendance:
    """Who is on one topic: as this node has said, and as other living nodes have."""

    here: frozenset[UserId] = frozenset()
    elsewhere: frozenset[UserId] = frozenset()

    @property
    def users(self) -> frozenset[UserId]:
        return self.here | self.elsewhere


class Presence(Protocol):
    """Each node says who is there on its own sockets. What it says twice counts once.

    The platform says it for topics that are declared with `presence=True`; features read it by
    `snapshot`. All methods raise `Unavailable`.
    """

    async def join(self, members: Collection[Member]) -> None:
        """Say that they are present on this node."""
        ...

    async def leave(self, members: Collection[Member]) -> None:
        """Say that they are present on this node no more."""
        ...

    async def snapshot(self, topics: Collection[TopicName]) -> Mapping[TopicName, Attendance]:
        """Return who is on each of `topics`."""
        ...

    async def renew(self) -> None:
        """Say that this node lives. To be called several times in `LEASE_SECONDS`."""
        ...

    async def end(self) -> None:
        """Take back all that this node has said."""
        ...

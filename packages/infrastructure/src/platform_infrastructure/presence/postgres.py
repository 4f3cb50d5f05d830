"""Presence between processes that share a PostgreSQL: a lease for each node, a row for each user.

Only the clock of the database counts. A row is worth as much as its node's lease; whoever renews
removes the leases that ran out, and their rows with them.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from uuid import UUID, uuid4

from platform_domain.events import TopicName
from platform_domain.presence import LEASE_SECONDS, Attendance, Member, Presence
from platform_infrastructure.postgres.database import Database
from platform_infrastructure.presence.memory import attendances
from platform_queries import Exec, Many


@dataclass(frozen=True, slots=True)
class PresentRow:
    topic: str
    user_id: str
    here: bool


class RenewLease(Exec):
    sql = """
        INSERT INTO presence_leases (node, expires_at)
        VALUES (%(node)s, now() + make_interval(secs => %(seconds)s))
        ON CONFLICT (node) DO UPDATE SET expires_at = excluded.expires_at
    """
    node: UUID
    seconds: float


class SweepLeases(Exec):
    sql = """
        DELETE FROM presence_leases WHERE node IN (
            SELECT node FROM presence_leases WHERE expires_at < now() FOR UPDATE SKIP LOCKED
        )
    """


class EndLease(Exec):
    sql = "DELETE FROM presence_leases WHERE node = %(node)s"
    node: UUID


class AddPresent(Exec):
    """Renews the lease as well: it may have been swept, and rows must not be without one."""

    sql = """
        WITH lease AS (
            INSERT INTO presence_leases (node, expires_at)
            VALUES (%(node)s, now() + make_interval(secs => %(seconds)s))
            ON CONFLICT (node) DO UPDATE SET expires_at = excluded.expires_at
            RETURNING node
        )
        INSERT INTO presence (topic, user_id, node)
        SELECT member.topic, member.user_id, lease.node
        FROM lease, unnest(%(topics)s::text[], %(users)s::text[]) AS member (topic, user_id)
        ON CONFLICT (topic, user_id, node) DO NOTHING
    """
    # The same statement sees to the lease.
    unbreakable = {"presence_node_fkey"}
    node: UUID
    seconds: float
    topics: list[str]
    users: list[str]


class RemovePresent(Exec):
    sql = """
        DELETE FROM presence WHERE node = %(node)s AND (topic, user_id) IN (
            SELECT member.topic, member.user_id
            FROM unnest(%(topics)s::text[], %(users)s::text[]) AS member (topic, user_id)
        )
    """
    node: UUID
    topics: list[str]
    users: list[str]


class FindPresent(Many[PresentRow]):
    sql = """
        SELECT presence.topic, presence.user_id, presence.node = %(node)s AS here
        FROM presence JOIN presence_leases AS lease ON lease.node = presence.node
        WHERE presence.topic = ANY(%(topics)s) AND lease.expires_at >= now()
    """
    node: UUID
    topics: list[str]


class PostgresPresence(Presence):
    def __init__(self, database: Database, lease_seconds: float = LEASE_SECONDS) -> None:
        self._database = database
        self._seconds = lease_seconds
        self._node = uuid4()

    async def join(self, members: Collection[Member]) -> None:
        await self._database.run(
            AddPresent(
                node=self._node,
                seconds=self._seconds,
                topics=[member.topic for member in members],
                users=[member.user for member in members],
            )
        )

    async def leave(self, members: Collection[Member]) -> None:
        await self._database.run(
            RemovePresent(
                node=self._node,
                topics=[member.topic for member in members],
                users=[member.user for member in members],
            )
        )

    async def snapshot(self, topics: Collection[TopicName]) -> Mapping[TopicName, Attendance]:
        rows = await self._database.run(FindPresent(node=self._node, topics=list(topics)))
        return attendances(topics, ((row.topic, row.user_id, row.here) for row in rows))

    async def renew(self) -> None:
        await self._database.run(RenewLease(node=self._node, seconds=self._seconds))
        await self._database.run(SweepLeases())

    async def end(self) -> None:
        await self._database.run(EndLease(node=self._node))

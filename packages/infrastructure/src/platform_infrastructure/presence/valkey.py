"""Presence between machines that share a Valkey: a lease for each node, a set for each topic.

A member of a set is a node and a user. It is worth as much as the lease of its node; who reads a
topic removes from it what dead nodes have left. Sets that nobody reads any more expire.
"""

import secrets
from collections.abc import Collection, Mapping

from platform_domain.events import TopicName
from platform_domain.presence import LEASE_SECONDS, Attendance, Member, Presence
from platform_infrastructure.events.valkey.client import ValkeyClient
from platform_infrastructure.presence.memory import attendances

RENEW = "redis.call('SET', KEYS[1], 1, 'PX', ARGV[1])"

END = "redis.call('DEL', KEYS[1])"

JOIN = f"""{RENEW}
for i = 2, #KEYS do
    redis.call('SADD', KEYS[i], ARGV[i])
    redis.call('PEXPIRE', KEYS[i], ARGV[1])
end
"""

LEAVE = """
for i = 1, #KEYS do
    redis.call('SREM', KEYS[i], ARGV[i])
end
"""

SNAPSHOT = """
local prefix, milliseconds = ARGV[1], ARGV[2]
local lives, found = {}, {}
for i, topic in ipairs(KEYS) do
    found[i] = {}
    for _, member in ipairs(redis.call('SMEMBERS', topic)) do
        local node = string.match(member, '^%x+')
        if lives[node] == nil then
            lives[node] = redis.call('EXISTS', prefix .. node) == 1
        end
        if lives[node] then
            table.insert(found[i], member)
        else
            redis.call('SREM', topic, member)
        end
    end
    redis.call('PEXPIRE', topic, milliseconds)
end
return found
"""


class ValkeyPresence(Presence):
    def __init__(self, client: ValkeyClient, lease_seconds: float = LEASE_SECONDS) -> None:
        self._milliseconds = round(lease_seconds * 1000)
        self._node = secrets.token_hex(8)
        # One tag in braces: a cluster keeps all of this in one place, where a script may see it.
        self._leases = f"{client.prefix}{{presence}}:node:"
        self._topics = f"{client.prefix}{{presence}}:topic:"
        self._renew = client.script(RENEW)
        self._end = client.script(END)
        self._join = client.script(JOIN)
        self._leave = client.script(LEAVE)
        self._snapshot = client.script(SNAPSHOT)

    async def join(self, members: Collection[Member]) -> None:
        keys, values = self._kept(members)
        await self._join.run([self._lease, *keys], self._milliseconds, *values)

    async def leave(self, members: Collection[Member]) -> None:
        keys, values = self._kept(members)
        await self._leave.run(keys, *values)

    async def snapshot(self, topics: Collection[TopicName]) -> Mapping[TopicName, Attendance]:
        keys = [self._topics + topic for topic in topics]
        found = await self._snapshot.run(keys, self._leases, self._milliseconds)
        split = (
            (topic, *member.decode().split(" ", 1))
            for topic, members in zip(topics, found, strict=True)
            for member in members
        )
        return attendances(
            topics, ((topic, user, node == self._node) for topic, node, user in split)
        )

    async def renew(self) -> None:
        await self._renew.run([self._lease], self._milliseconds)

    async def end(self) -> None:
        await self._end.run([self._lease])

    @property
    def _lease(self) -> str:
        return self._leases + self._node

    def _kept(self, members: Collection[Member]) -> tuple[list[str], list[str]]:
        """Return the set that each member is kept in, and what is kept."""
        keys = [self._topics + member.topic for member in members]
        return keys, [f"{self._node} {member.user}" for member in members]

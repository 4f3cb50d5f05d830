"""Events in Valkey: a head per topic that numbers them, a stream that keeps some, a channel.

A server that lost its memory, or went back to an older one from disk, would give the same numbers
again to other events. So an epoch holds for one run of one server and a topic at the most.
"""

import secrets
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from platform_domain.event_bus import Delivery, Position, Replay
from platform_domain.events import TopicName
from platform_infrastructure.events.engine import RETAINED_EVENTS, RETAINED_SECONDS, replay_of
from platform_infrastructure.events.valkey.client import ValkeyClient

SEEN_SECONDS = 60 * 60
"""How long after an event came its `id` is known. Each takes 165 bytes for so long."""
ASKED_AT_ONCE = 500
"""Topics in one call, which holds up everybody else for as long as it runs."""

HEAD = f"""
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local function head_of(head, log, fresh)
    local known = redis.call('HMGET', head, 'run', 'epoch', 'number')
    if known[1] ~= run then
        redis.call('DEL', log)
        redis.call('HSET', head, 'run', run, 'epoch', fresh, 'number', 0)
        known = {{run, fresh, '0'}}
    end
    redis.call('EXPIRE', head, {RETAINED_SECONDS})
    return known[2], tonumber(known[3])
end
"""

# The head lives at least as long as the log, whose events would else be given out a second time.
APPEND = f"""{HEAD}
local head, log, seen = KEYS[1], KEYS[2], KEYS[3]
local fresh, channel, data = ARGV[1], ARGV[2], ARGV[3]
if seen and not redis.call('SET', seen, 1, 'NX', 'EX', {SEEN_SECONDS}) then
    return
end
local epoch = head_of(head, log, fresh)
local number = redis.call('HINCRBY', head, 'number', 1)
redis.call('XADD', log, 'MAXLEN', '~', {RETAINED_EVENTS}, number .. '-0', 'data', data)
redis.call('EXPIRE', log, {RETAINED_SECONDS})
redis.call('PUBLISH', channel, number .. ' ' .. epoch .. ' ' .. data)
"""

HEADS = f"""{HEAD}
local heads = {{}}
for i = 1, #KEYS, 2 do
    local epoch, number = head_of(KEYS[i], KEYS[i + 1], ARGV[1])
    heads[#heads + 1] = {{epoch, number}}
end
return heads
"""

REPLAY = f"""{HEAD}
local head, log = KEYS[1], KEYS[2]
local epoch, number = head_of(head, log, ARGV[1])
local after = tonumber(ARGV[3])
if epoch ~= ARGV[2] or after < 0 or after >= number then
    return {{epoch, number, {{}}}}
end
local kept = redis.call(
    'XRANGE', log, string.format('(%d-0', after), '+', 'COUNT', {RETAINED_EVENTS}
)
return {{epoch, number, kept}}
"""


class ValkeyLog:
    """Raises `Unavailable` when the server cannot be reached."""

    def __init__(self, client: ValkeyClient) -> None:
        self._prefix = client.prefix
        self._channel_prefix = f"{client.prefix}events:"
        self._append = client.script(APPEND)
        self._heads = client.script(HEADS)
        self._replay = client.script(REPLAY)

    async def append(self, topic: TopicName, data: bytes, *, id: UUID | None = None) -> None:
        """Number, keep and tell an event; one that has an `id` only once in `SEEN_SECONDS`."""
        seen = [] if id is None else [self._key(topic, f"seen:{id}")]
        keys = [*self._keys(topic), *seen]
        await self._append.run(keys, _fresh_epoch(), self.channel(topic), data)

    async def heads(self, topics: Sequence[TopicName]) -> list[Position]:
        """Return the place of each topic. One that is new gets its epoch now."""
        found: list[Position] = []
        for start in range(0, len(topics), ASKED_AT_ONCE):
            asked = topics[start : start + ASKED_AT_ONCE]
            keys = [key for topic in asked for key in self._keys(topic)]
            heads = await self._heads.run(keys, _fresh_epoch())
            found += [Position(epoch.decode(), number) for epoch, number in heads]
        return found

    async def replay(self, topic: TopicName, after: Position) -> Replay:
        epoch, number, entries = await self._replay.run(
            self._keys(topic), _fresh_epoch(), after.epoch, after.offset
        )
        head = Position(epoch.decode(), number)
        return replay_of(_kept(topic, head.epoch, entries), after, head)

    def channel(self, topic: TopicName) -> str:
        return self._channel_prefix + topic

    def delivery(self, channel: str, message: bytes) -> Delivery:
        """Read what was published on a channel."""
        number, epoch, data = message.split(b" ", 2)
        return Delivery(self.topic(channel), Position(epoch.decode(), int(number)), data)

    def topic(self, channel: str) -> TopicName:
        return TopicName(channel.removeprefix(self._channel_prefix))

    def _keys(self, topic: TopicName) -> list[str]:
        return [self._key(topic, "head"), self._key(topic, "log")]

    def _key(self, topic: TopicName, of: str) -> str:
        # What stands in braces decides where a cluster keeps a key: all of a topic in one place.
        return f"{self._prefix}{{{topic}}}:{of}"


def _fresh_epoch() -> str:
    """Return what becomes the epoch of a topic that has none."""
    return secrets.token_hex(8)


def _kept(topic: TopicName, epoch: str, entries: Sequence[Any]) -> list[Delivery]:
    """Read entries of a stream; the number is the first half of an entry's id."""
    return [
        Delivery(topic, Position(epoch, int(id.split(b"-")[0])), fields[1])
        for id, fields in entries
    ]

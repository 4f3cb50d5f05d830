"""What messages were answered with, so that one that is sent again does nothing twice."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from weakref import WeakValueDictionary

from platform_api.realtime.messages import ClientMessage, Done, Reply
from platform_domain.errors import InvalidInput
from platform_domain.identity import UserId

MAX_REMEMBERED = 10_000


class MessageIdReused(InvalidInput):
    code = "message_id_reused"
    message = "This id was used for another message. Take a new one."


_Key = tuple[UserId, str | None]


class Replies:
    """The last replies of this process, by user and message id."""

    def __init__(self, max_remembered: int = MAX_REMEMBERED) -> None:
        self._max = max_remembered
        self._replies: OrderedDict[_Key, tuple[ClientMessage, Reply]] = OrderedDict()
        self._turns: WeakValueDictionary[_Key, asyncio.Lock] = WeakValueDictionary()

    async def once(
        self, user: UserId, message: ClientMessage, handle: Callable[[], Awaitable[Reply | None]]
    ) -> Reply:
        """Return what the message was answered with, or what `handle` answers now.

        Whoever sends it again while it is still handled, on another socket, waits for the answer.
        Raises `MessageIdReused` when another message had its id.
        """
        key = (user, message.id)
        async with self._turns.setdefault(key, asyncio.Lock()):
            if key not in self._replies:
                self._keep(key, message, await handle() or Done())
            first, reply = self._replies[key]
            if first != message:
                raise MessageIdReused
            return reply

    def _keep(self, key: _Key, message: ClientMessage, reply: Reply) -> None:
        self._replies[key] = message, reply
        if len(self._replies) > self._max:
            self._replies.popitem(last=False)

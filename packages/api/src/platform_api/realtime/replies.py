"""What messages were answered with, so that one that is sent again does nothing twice."""

from collections import OrderedDict

from platform_api.realtime.messages import Reply
from platform_domain.identity import UserId

MAX_REMEMBERED = 10_000


class Replies:
    """The last replies of this process, by user and message id."""

    def __init__(self, max_remembered: int = MAX_REMEMBERED) -> None:
        self._max = max_remembered
        self._replies: OrderedDict[tuple[UserId, str], Reply] = OrderedDict()

    def find(self, user: UserId, id: str | None) -> Reply | None:
        return None if id is None else self._replies.get((user, id))

    def remember(self, user: UserId, id: str | None, reply: Reply) -> None:
        if id is None:
            return
        self._replies[user, id] = reply
        if len(self._replies) > self._max:
            self._replies.popitem(last=False)

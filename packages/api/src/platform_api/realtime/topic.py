"""What a feature declares of its topics: their names, their events, and who may listen."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from platform_api.operation import OperationInvalid
from platform_domain.errors import Forbidden, NotFound
from platform_domain.events import Event
from platform_domain.identity import Identity

Parameters = Mapping[str, str]
Authorise = Callable[[Identity, Parameters], Awaitable[None]]
"""Returns when the caller may listen, else raises `Forbidden` or `NotFound`."""

PARAMETER = re.compile(r"\{(\w+)(:uuid)?\}")
# One spelling only: another would be a topic of its own, to which nothing is published.
UUID_TEXT = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


class TopicNotFound(NotFound):
    code = "topic_not_found"
    message = "There is no such topic."


class TopicForbidden(Forbidden):
    code = "topic_forbidden"
    message = "You may not listen to this topic."


class SlowPolicy(StrEnum):
    """What happens to a socket that reads more slowly than it is told."""

    DISCONNECT = "disconnect"
    """It is closed and resumes: nothing is lost."""
    DROP_OLDEST = "drop_oldest"
    """Its oldest waiting events of the topic are left out, and it is told how many."""
    LATEST_ONLY = "latest_only"
    """Only the newest event of the topic ever waits: for what replaces what was before."""


@dataclass(frozen=True, slots=True)
class Topic:
    """All topics of one pattern, e.g. `project:{id}`; with `presence` listeners are told who else
    listens. Features that declare one pattern may differ in its events only. A parameter `{id:uuid}`
    takes ids alone; without `:uuid` it is any text.
    """

    pattern: str
    events: Sequence[type[Event]]
    authorise: Authorise
    slow: SlowPolicy = SlowPolicy.DISCONNECT
    presence: bool = False
    _regex: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # re.split with two groups gives in turn: text, name, `:uuid` or None, text, …
        texts, names, kinds = (PARAMETER.split(self.pattern)[start::3] for start in range(3))
        regex = re.escape(texts[0])
        for name, kind, text in zip(names, kinds, texts[1:], strict=True):
            regex += f"(?P<{name}>{UUID_TEXT if kind else '[^:]+'})" + re.escape(text)
        object.__setattr__(self, "_regex", re.compile(regex))

    def parameters(self, name: str) -> Parameters | None:
        """Return the parameters in `name`, or None when it is no topic of this pattern."""
        match = self._regex.fullmatch(name)
        return match.groupdict() if match else None


def own_topic(*events: type[Event]) -> Topic:
    """Declare events that are told to one user: published to `user_topic(user)`."""
    return Topic("user:{user}", events, only_oneself)


async def only_oneself(caller: Identity, parameters: Parameters) -> None:
    if parameters["user"] != caller.user:
        raise TopicForbidden


class Topics:
    """All topics that features declared."""

    def __init__(self, declared: Sequence[Topic]) -> None:
        """Raises `OperationInvalid` when one pattern is declared in two ways."""
        first: dict[str, Topic] = {}
        for topic in declared:
            known = first.setdefault(topic.pattern, topic)
            if replace(topic, events=known.events) != known:
                raise OperationInvalid(f"topic {topic.pattern}: declared in two ways")
        self._declared = tuple(first.values())

    async def authorise(self, name: str, caller: Identity) -> None:
        """Return when `caller` may listen to `name`. Raises `TopicNotFound` or what the topic's
        `authorise` raises."""
        topic, parameters = self._find(name)
        await topic.authorise(caller, parameters)

    def slow(self, name: str) -> SlowPolicy:
        """Raises `TopicNotFound`."""
        return self._find(name)[0].slow

    def has_presence(self, name: str) -> bool:
        """Raises `TopicNotFound`."""
        return self._find(name)[0].presence

    def _find(self, name: str) -> tuple[Topic, Parameters]:
        for topic in self._declared:
            if (parameters := topic.parameters(name)) is not None:
                return topic, parameters
        raise TopicNotFound

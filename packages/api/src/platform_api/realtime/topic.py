"""What a feature declares of its topics: their names, their events, and who may listen."""

import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass, replace
from enum import StrEnum

from platform_api.declaration import DeclarationInvalid, place_of, require_async
from platform_domain.errors import Forbidden, NotFound
from platform_domain.events import Event
from platform_domain.identity import Identity

Parameters = Mapping[str, str]
Authorise = Callable[[Identity, Parameters], Awaitable[None]]
"""Returns when the caller may listen, else raises `Forbidden` or `NotFound`."""

PARAMETER = re.compile(r"\{(\w+)(:uuid)?\}")
PART = r"(?:[^\s{}:]|\{[^\W\d]\w*(?::uuid)?\}(?!\{))+"
PATTERN = re.compile(f"{PART}(?::{PART})*")
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


class EventUndeclared(TypeError):
    """A feature published to a topic, or an event, that no `topics()` declares. This is a bug,
    because no client could receive it."""


async def as_declared_elsewhere(caller: Identity, parameters: Parameters) -> None:
    """Placeholder: another feature declares the same pattern with the real `authorise`."""
    raise TopicForbidden


EVENTS_ONLY = (as_declared_elsewhere, SlowPolicy.DISCONNECT, False)


@dataclass(frozen=True, slots=True)
class Topic:
    """All topics of one pattern, e.g. `project:{id}`. A parameter `{id:uuid}` matches UUIDs only;
    without `:uuid` it matches any text up to a colon or to the character after the parameter. With
    `presence`, listeners learn who else is listening.

    Several features may declare the same pattern, each with its own events. One of them gives
    `authorise`, `slow` and `presence`; the others give only events, or the same values. Raises
    `DeclarationInvalid` for an invalid pattern or function.
    """

    pattern: str
    events: Sequence[type[Event]]
    authorise: Authorise = as_declared_elsewhere
    slow: SlowPolicy = SlowPolicy.DISCONNECT
    presence: bool = False
    _regex: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # re.split with two groups gives in turn: text, name, `:uuid` or None, text, …
        texts, names, kinds = (PARAMETER.split(self.pattern)[start::3] for start in range(3))
        if not PATTERN.fullmatch(self.pattern) or len(set(names)) < len(names):
            raise DeclarationInvalid(
                f"{self.place}: a pattern is made of parts between colons, each of text without"
                " spaces and of {name} or {name:uuid} with text between them, and no name comes twice"
            )
        require_async(self.authorise, self.place)
        for event in self.events:
            if not is_dataclass(event) or not isinstance(getattr(event, "type", None), str):
                raise DeclarationInvalid(
                    f"{self.place}: {event.__name__} must be a dataclass with a text as its `type`"
                )
        regex = re.escape(texts[0])
        for name, kind, text in zip(names, kinds, texts[1:], strict=True):
            # It ends at the next character of the pattern: ambiguity would take quadratic time.
            any_text = f"[^:{re.escape(text[:1])}]++"
            regex += f"(?P<{name}>{UUID_TEXT if kind else any_text})" + re.escape(text)
        object.__setattr__(self, "_regex", re.compile(regex))

    @property
    def place(self) -> str:
        if self.decides:
            return f"topic {self.pattern} ({place_of(self.authorise)})"
        return f"topic {self.pattern} ({', '.join(e.__qualname__ for e in self.events)})"

    @property
    def policy(self) -> tuple[Authorise, SlowPolicy, bool]:
        return self.authorise, self.slow, self.presence

    @property
    def decides(self) -> bool:
        """Whether this declaration decides who may listen."""
        return self.authorise is not as_declared_elsewhere

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
    """All topics that the features declare, each pattern once, with all its events."""

    def __init__(self, declared: Sequence[Topic]) -> None:
        """Raises `DeclarationInvalid` when declarations contradict each other."""
        by_pattern: dict[str, list[Topic]] = defaultdict(list)
        for topic in declared:
            by_pattern[topic.pattern].append(topic)
        self._declared = tuple(_merged(topics) for topics in by_pattern.values())
        _require_distinct_types(self._declared)

    @property
    def events(self) -> Sequence[type[Event]]:
        """Each type of event once."""
        return list(dict.fromkeys(event for topic in self._declared for event in topic.events))

    def require_declared(self, name: str, event: type[Event]) -> None:
        """Raises `EventUndeclared` unless a feature declares that `event` is published to `name`."""
        try:
            topic, _ = self._find(name)
        except TopicNotFound:
            raise EventUndeclared(
                f"No feature declares the topic {name!r}: add its pattern to a topics()."
            ) from None
        if event not in topic.events:
            raise EventUndeclared(
                f"No feature declares {event.__name__} on {topic.pattern}: add it to a topics()."
            )

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


def _merged(topics: Sequence[Topic]) -> Topic:
    """Merge topics that have the same pattern into one with all their events."""
    deciding = next((topic for topic in topics if topic.decides), None)
    if deciding is None:
        raise DeclarationInvalid(f"{topics[0].place}: no feature gives its `authorise`")
    for other in topics:
        if other.policy not in (deciding.policy, EVENTS_ONLY):
            raise DeclarationInvalid(
                f"{deciding.place} is declared otherwise by {other.place}: only one feature gives"
                " `authorise`, `slow` and `presence`, the others give events only"
            )
    events = dict.fromkeys(event for topic in topics for event in topic.events)
    return replace(deciding, events=tuple(events))


def _require_distinct_types(topics: Sequence[Topic]) -> None:
    classes: dict[str, type[Event]] = {}
    for event in (event for topic in topics for event in topic.events):
        if (known := classes.setdefault(event.type, event)) is not event:
            raise DeclarationInvalid(
                f"two events have the type {event.type!r}: {known.__module__}.{known.__qualname__}"
                f" and {event.__module__}.{event.__qualname__}"
            )

"""Events: what happened, told to whoever listens to a topic."""

from typing import ClassVar, NewType, Protocol

from platform_domain.errors import InvalidInput
from platform_domain.identity import UserId

TopicName = NewType("TopicName", str)


def user_topic(user: UserId) -> TopicName:
    """Return the topic of one user. Only that user may listen to it."""
    return TopicName(f"user:{user}")


class Event:
    """Something that happened. Subclass it as a frozen dataclass; its fields are what is told."""

    type: ClassVar[str]
    """What kind of thing, e.g. `project.renamed`. Clients tell events apart by it."""


class EventTooLarge(InvalidInput):
    """An event is an announcement: what is large is loaded by whoever hears of it."""

    code = "event_too_large"
    message = "This is too much to tell at once."


class Events(Protocol):
    """Where features say what happened."""

    async def publish(self, topic: TopicName, event: Event) -> None:
        """Send `event` to the listeners of `topic`.

        Inside a unit of work, it is sent after the commit, and not at all after a rollback. Outside
        of one, it is sent immediately.

        Raises `Unavailable` when the engine cannot be reached, and `TypeError` when no feature
        declares the topic with this type of event.
        """
        ...

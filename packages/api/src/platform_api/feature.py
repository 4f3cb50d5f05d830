"""What a feature brings along. The container lists the features; nothing is discovered."""

import re
from collections.abc import Sequence
from itertools import chain
from typing import ClassVar

from platform_api.declaration import DeclarationInvalid, place_of
from platform_api.operation import Operation
from platform_api.realtime.message import Message
from platform_api.realtime.topic import Topic
from platform_api.tasks import Task

WORD = re.compile("[A-Z][^A-Z]*")


class Feature:
    """Subclass it, take ports in the constructor, and return the parts of the feature.

    The subclass's docstring describes the feature in the API's documentation.
    """

    name: ClassVar[str]
    """The tag in the API's documentation, e.g. `camera-shots` for `CameraShotsFeature`."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        words = WORD.findall(cls.__name__.removesuffix("Feature"))
        cls.name = "-".join(words).lower()

    def operations(self) -> Sequence[Operation]:
        return ()

    def topics(self) -> Sequence[Topic]:
        return ()

    def messages(self) -> Sequence[Message]:
        return ()

    def tasks(self) -> Sequence[Task]:
        return ()


def operations_of(features: Sequence[Feature]) -> list[Operation]:
    return [operation for feature in features for operation in feature.operations()]


def topics_of(features: Sequence[Feature]) -> list[Topic]:
    return [topic for feature in features for topic in feature.topics()]


def messages_of(features: Sequence[Feature]) -> list[Message]:
    return [message for feature in features for message in feature.messages()]


def tasks_of(features: Sequence[Feature], *own: Sequence[Task]) -> list[Task]:
    """Return the platform's own tasks and those of all features.

    Raises `DeclarationInvalid` when two have the same name: health reports and the log use it.
    """
    tasks = [*chain(*own), *(task for feature in features for task in feature.tasks())]
    known: dict[str, Task] = {}
    for task in tasks:
        if (other := known.setdefault(task.name, task)) is not task:
            raise DeclarationInvalid(
                f"two tasks are named {task.name}: {place_of(other.run)}; {place_of(task.run)}"
            )
    return tasks

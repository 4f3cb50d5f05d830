"""What a feature brings along. The container lists the features; nothing is discovered."""

from collections.abc import Sequence

from platform_api.operation import Operation
from platform_api.tasks import Task


class Feature:
    """Subclass it, take ports in the constructor, return what the feature has."""

    def operations(self) -> Sequence[Operation]:
        return ()

    def tasks(self) -> Sequence[Task]:
        return ()


def tasks_of(features: Sequence[Feature], own: Sequence[Task]) -> list[Task]:
    """Return the platform's own tasks and those of all features."""
    return [*own, *(task for feature in features for task in feature.tasks())]

import asyncio
from collections.abc import Sequence

from platform_api.feature import Feature, messages_of, operations_of, tasks_of, topics_of
from platform_api.tasks import Task


async def idle(stopping: asyncio.Event) -> None:
    await stopping.wait()


class Busy(Feature):
    def tasks(self) -> Sequence[Task]:
        return [Task("busy", idle)]


def test_the_tasks_of_features_join_the_platforms_own() -> None:
    tasks = tasks_of([Busy(), Feature(), Busy()], [Task("own", idle)])

    assert [task.name for task in tasks] == ["own", "busy", "busy"]


def test_a_feature_may_have_nothing() -> None:
    nothing = [Feature()]

    assert [operations_of(nothing), topics_of(nothing), messages_of(nothing)] == [[], [], []]

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from platform_api import features
from platform_api.cli.unconnected import unconnected_container
from platform_api.declaration import DeclarationInvalid
from platform_api.feature import Feature, messages_of, operations_of, tasks_of, topics_of
from platform_api.tasks import Task
from platform_api.unlisted import unlisted
from tests.api.shapes import assert_names_the_place


async def idle(stopping: asyncio.Event) -> None:
    await stopping.wait()


@dataclass
class Busy(Feature):
    task: str = "busy"

    def tasks(self) -> Sequence[Task]:
        return [Task(self.task, idle)]


def test_the_tasks_of_features_join_the_platforms_own() -> None:
    tasks = tasks_of([Busy(), Feature(), Busy("busier")], [Task("own", idle)])

    assert [task.name for task in tasks] == ["own", "busy", "busier"]


def test_two_tasks_of_one_name_fail_at_start_up() -> None:
    with pytest.raises(DeclarationInvalid, match="two tasks are named busy") as caught:
        tasks_of([Busy(), Busy()])

    assert_names_the_place(caught.value, idle)


class Waiting(Feature):
    """Defined, and in no container."""


class Written(Waiting):
    """A feature may have a base class that is no feature of its own."""


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> None:
    for feature in (Waiting, Written):
        monkeypatch.setattr(feature, "__module__", "platform_api.features.waiting")


@pytest.mark.usefixtures("pretended")
def test_a_feature_that_is_not_listed_is_named() -> None:
    listed = unconnected_container().features()

    assert unlisted([*listed, Written()]) == []
    assert unlisted([*listed, Waiting()]) == [
        "Written (platform_api.features.waiting) is not served: list it under `features` in"
        + " container.py."
    ]


def test_every_feature_is_listed() -> None:
    assert unlisted(unconnected_container().features()) == []


def test_a_module_that_cannot_be_imported_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "half_written.py").write_text("import platform_nowhere", encoding="utf-8")
    monkeypatch.setattr(features, "__path__", [*features.__path__, str(tmp_path)])

    (sentence,) = unlisted(unconnected_container().features())

    assert sentence.startswith("platform_api.features.half_written cannot be imported: Module")


def test_a_feature_may_have_nothing() -> None:
    nothing = [Feature()]

    assert [operations_of(nothing), topics_of(nothing), messages_of(nothing)] == [[], [], []]

"""The real server on code with a newcomer's mistake."""

import shutil
from pathlib import Path

import httpx2
import pytest

import platform_api
from tests.e2e.patience import patiently
from tests.e2e.serve import listening, started

pytestmark = pytest.mark.slow

NOWHERE = "postgresql://127.0.0.1:1/nothing"
UNLISTED = """\
from platform_api.feature import Feature


class ScenesFeature(Feature):
    pass
"""


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A folder with a copy of the API's code, to be changed and put first on Python's path."""
    (source,) = platform_api.__path__
    shutil.copytree(source, tmp_path / "code" / "platform_api")
    return tmp_path / "code"


def spoil(code: Path, before: str, after: str) -> None:
    file = code / "platform_api/features/projects.py"
    text = file.read_text(encoding="utf-8")
    assert text.count(before) == 1
    file.write_text(text.replace(before, after), encoding="utf-8")


def test_a_declaration_that_cannot_work_ends_the_start_with_one_sentence(
    tmp_path: Path, code: Path
) -> None:
    spoil(
        code, 'Operation("GET", "/projects", self.list)', 'Operation("GET", "projects", self.list)'
    )

    with started(tmp_path, PYTHONPATH=str(code), DATABASE_URL=NOWHERE) as program:
        assert program.exit_code() == 1

    assert "Traceback" not in program.output
    line = program.output.splitlines()[-1]
    assert "The server cannot start. GET projects (ProjectsFeature.list, " in line
    assert f"{code / 'platform_api/features/projects.py'}:" in line
    assert "a path is /name" in line


def test_a_feature_that_is_not_listed_is_a_warning_at_the_start(tmp_path: Path, code: Path) -> None:
    (code / "platform_api/features/scenes.py").write_text(UNLISTED, encoding="utf-8")

    with started(tmp_path, PYTHONPATH=str(code), DATABASE_URL=NOWHERE) as program:
        line = program.wait_for("A feature is not served").string

    assert "WARNING" in line
    assert "ScenesFeature (platform_api.features.scenes)" in line


def test_a_publish_without_await_is_an_error_in_the_log(
    tmp_path: Path, code: Path, database_url: str
) -> None:
    publish = "self._events.publish(user_topic(caller.user), created)"
    spoil(code, f"await {publish}", publish)

    with listening(tmp_path, PYTHONPATH=str(code), DATABASE_URL=database_url) as program:
        answer = patiently(
            lambda: httpx2.post(
                f"http://127.0.0.1:{program.port}/api/v1/projects",
                headers={"x-user-id": "alice"},
                json={"name": "Storyboard"},
            )
        )
        line = program.wait_for("was never awaited").string

    assert answer.status_code == 201
    assert "ERROR" in line
    assert "coroutine 'EncodedEvents.publish' was never awaited" in line
    assert "platform_api/features/projects.py:" in line

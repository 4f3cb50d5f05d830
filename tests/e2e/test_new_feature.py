"""The README's five steps, done literally in a copy: a feature `scenes`, made from `projects`."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.serve import COMMANDS, environment

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="Finds the copy by a POSIX path list."),
]

ROOT = Path(__file__).parents[2]
WORDS = {
    "20261122000000": "29990101000000",  # A migration of its own.
    "projects": "scenes",
    "Projects": "Scenes",
    "PROJECTS": "SCENES",
    "project": "scene",
    "Project": "Scene",
    "PROJECT": "SCENE",
}
ANY_WORD = re.compile("|".join(sorted(WORDS, key=len, reverse=True)))
TESTS = (
    "tests/domain/test_scenes.py",
    "tests/infrastructure/test_scenes.py",
    "tests/api/features/test_scenes.py",
    "tests/api/contract/test_answers.py",
    "tests/api/test_container.py",
    "-k",
    "scenes or every or successes",
)


def renamed(text: str) -> str:
    return ANY_WORD.sub(lambda word: WORDS[word[0]], text)


def tracked() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [path for path in listed.stdout.splitlines() if (ROOT / path).is_file()]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for path in tracked():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes((ROOT / path).read_bytes())
    return tmp_path


def run(copy: Path, *command: str, **settings: str) -> tuple[int, str]:
    """Run a command on the copy's packages with this environment's dependencies."""
    packages = os.pathsep.join(str(path) for path in sorted(copy.glob("packages/*/src")))
    done = subprocess.run(
        command,
        cwd=copy,
        env=environment({"PYTHONPATH": packages, **settings}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout


def platform(copy: Path, *arguments: str) -> tuple[int, str]:
    return run(copy, str(COMMANDS / "platform"), *arguments)


def edit(path: Path, *changes: tuple[str, str]) -> None:
    text = path.read_text(encoding="utf-8")
    for before, after in changes:
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    path.write_text(text, encoding="utf-8")


def add_slice(copy: Path) -> None:
    """Do the steps 1, 2 and 3, and the tests: all that `git ls-files | grep projects` shows."""
    for path in tracked():
        if "projects" in path:
            text = (copy / path).read_text(encoding="utf-8")
            (copy / renamed(path)).write_text(renamed(text), encoding="utf-8")


def list_in_container(copy: Path) -> None:
    """Do step 4."""
    container = copy / "packages/api/src/platform_api/container.py"
    lines = container.read_text(encoding="utf-8").splitlines(keepends=True)
    doubled = [line + renamed(line) if re.search("[pP]rojects", line) else line for line in lines]
    container.write_text("".join(doubled), encoding="utf-8")


def add_fake(copy: Path) -> None:
    """Do what is left of step 5: the fake of the port, and the feature in `World`."""
    fakes = (copy / "tests/fakes.py").read_text(encoding="utf-8")
    imports = re.findall(r"^from platform_domain\.projects import \([^)]*\)\n", fakes, re.MULTILINE)
    (fake,) = re.findall(r"^class InMemoryProjects.*?(?=^class )", fakes, re.MULTILINE | re.DOTALL)
    new = fakes.replace(imports[0], imports[0] + renamed(imports[0])) + "\n\n" + renamed(fake)
    (copy / "tests/fakes.py").write_text(new, encoding="utf-8")
    feature = "ProjectsFeature(self.projects, ImmediateUnitOfWork(), self.events), "
    field = "    projects: InMemoryProjects = field(default_factory=InMemoryProjects)\n"
    imported = "from platform_api.features.projects import ProjectsFeature\n"
    edit(
        copy / "tests/api/conftest.py",
        (feature, feature + renamed(feature)),
        (field, field + renamed(field)),
        (imported, imported + renamed(imported)),
        ("    InMemoryProjects,\n", "    InMemoryProjects,\n    InMemoryScenes,\n"),
    )


def test_after_the_five_steps_of_the_readme_everything_is_green(
    copy: Path, database_server: str
) -> None:
    add_slice(copy)

    code, output = platform(copy, "check")
    assert code == 1
    assert "ScenesFeature (platform_api.features.scenes) is not served" in output

    list_in_container(copy)
    add_fake(copy)
    code, output = platform(copy, "generate")
    assert code == 0, output
    assert set(output.splitlines()) == {
        "wrote docs/openapi.json",
        "wrote packages/infrastructure/src/platform_infrastructure/queries.lock.json",
    }

    code, output = platform(copy, "check", "--offline")
    assert code == 0, output
    command = (sys.executable, "-m", "pytest", "-q", "-n", "0", *TESTS)
    code, output = run(copy, *command, TEST_DATABASE_URL=database_server)
    assert code == 0, output

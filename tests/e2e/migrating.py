"""The command `platform` on migrations of a test's own."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import platform_infrastructure
from tests.e2e.serve import COMMANDS, spawn
from tests.processes import Program


def own_code(folder: Path, migrations: Mapping[str, str]) -> dict[str, str]:
    """Copy the code to `folder`, with these migrations in place of ours.

    Return the settings with which Python imports the copy.
    """
    package = folder / "code" / "platform_infrastructure"
    installed = Path(platform_infrastructure.__path__[0])
    shutil.copytree(installed, package, ignore=shutil.ignore_patterns("*.sql"))
    for name, text in migrations.items():
        (package / "migrations" / name).write_text(text)
    return {"PYTHONPATH": str(folder / "code")}


@contextmanager
def migrators(folder: Path, count: int, **settings: str) -> Iterator[list[Program]]:
    """Run `platform migrate` `count` times at once; afterwards all are gone."""
    with ExitStack() as leaving:
        programs = []
        for _ in range(count):
            programs.append(spawn([str(COMMANDS / "platform"), "migrate"], folder, settings))
            leaving.callback(programs[-1].end)
        yield programs

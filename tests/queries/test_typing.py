"""mypy --strict and pyright, without a plugin, over right and wrong uses of queries and events.

A line that ends in `# wrong` must be refused by both, one that ends in `# pyright` by pyright only
(mypy takes every str for a LiteralString; the verifier refuses such a query). All others are right.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SAMPLE = """\
from dataclasses import dataclass
from typing import assert_type
from uuid import UUID

from platform_domain.errors import Conflict
from platform_domain.events import Event, Events, TopicName
from platform_infrastructure.postgres.database import Database
from platform_queries import Exec, Many, Maybe, One


@dataclass(frozen=True, slots=True)
class Project:
    id: UUID
    name: str


class Find(Maybe[Project]):
    sql = "SELECT id, name FROM projects WHERE id = %(id)s"
    id: UUID


class Create(One[Project]):
    sql = "INSERT INTO projects (id, name) VALUES (%(id)s, %(name)s) RETURNING id, name"
    raises = {"projects_name_key": Conflict}
    unbreakable = {"projects_pkey"}
    id: UUID
    name: str


class Names(Many[str]):
    sql = "SELECT name FROM projects WHERE (%(like)s::text IS NULL OR name LIKE %(like)s)"
    like: str | None = None


class Delete(Exec):
    sql = "DELETE FROM projects WHERE id = %(id)s"
    id: UUID


class Raises(Exec):
    sql = "DELETE FROM projects"
    raises = {"projects_name_key": "taken"}  # wrong


def assembled(name: str) -> None:
    class Assembled(Many[str]):
        sql = f"SELECT name FROM projects WHERE name = '{name}'"  # pyright


async def good(database: Database, id: UUID) -> None:
    assert_type(await database.run(Find(id=id)), Project | None)
    assert_type(await database.run(Create(id=id, name="a")), Project)
    assert_type(await database.run(Names()), list[str])
    assert_type(await database.run(Names(like="a%")), list[str])
    assert_type(await database.run(Delete(id=id)), int)


async def bad(database: Database, id: UUID) -> None:
    Find(id="7")  # wrong
    Find()  # wrong
    Find(id)  # wrong
    Find(id=id, name="x")  # wrong
    Names(like=3)  # wrong
    Find(id=id).id = id  # wrong
    await database.run("SELECT 1")  # wrong
    await database.run(Find)  # wrong
    project: Project = await database.run(Find(id=id))  # wrong
    (await database.run(Find(id=id))).name  # wrong
    (await database.run(Create(id=id, name="a"))).nmae  # wrong
    names: list[int] = await database.run(Names())  # wrong
    text: str = await database.run(Delete(id=id))  # wrong
    print(project, names, text)


async def forgetful(events: Events, topic: TopicName, event: Event) -> None:
    await events.publish(topic, event)
    events.publish(topic, event)  # wrong
"""


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    path = tmp_path / "sample.py"
    path.write_text(SAMPLE, encoding="utf-8")
    return path


def lines_that_end_in(*marks: str) -> list[int]:
    return [n for n, line in enumerate(SAMPLE.splitlines(), 1) if line.endswith(marks)]


def checked(*command: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return done.stdout


def test_mypy_infers_results_and_refuses_wrong_parameters(sample: Path) -> None:
    output = checked("mypy", "--strict", "--output", "json", sample.name, folder=sample.parent)
    errors = [json.loads(line) for line in output.splitlines() if line.startswith("{")]

    assert sorted({error["line"] for error in errors}) == lines_that_end_in("# wrong"), output


def test_pyright_infers_results_and_refuses_wrong_parameters(sample: Path) -> None:
    settings = {"typeCheckingMode": "strict", "reportUnusedClass": False}
    (sample.parent / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")

    output = checked("basedpyright", "--outputjson", sample.name, folder=sample.parent)
    errors = [
        found["range"]["start"]["line"] + 1
        for found in json.loads(output)["generalDiagnostics"]
        if found["severity"] == "error"
    ]

    assert sorted(set(errors)) == lines_that_end_in("# wrong", "# pyright"), output

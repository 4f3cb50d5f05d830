"""The queries of `platform check`, `generate` and `show query`, on the project as it is."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from platform_api.cli import queries
from platform_api.cli.committed import NotTheRoot
from platform_api.cli.queries import (
    LOCK,
    QueriesInvalid,
    query_differences,
    query_lines,
    write_queries,
)
from platform_domain.startup import StartupError
from platform_infrastructure.postgres.verification import migrated_database
from tests.infrastructure.postgres.connections import ask

ROOT = Path(__file__).parents[2]
NAME = "platform_infrastructure.projects.FindProject"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place with nothing but the lock, so that the real one stays as it is."""
    committed = (ROOT / LOCK).read_text(encoding="utf-8")
    (tmp_path / LOCK).parent.mkdir(parents=True)
    (tmp_path / LOCK).write_text(committed, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def opened(monkeypatch: pytest.MonkeyPatch, fresh_database_url: str) -> list[str | None]:
    """Stands for our own PostgreSQL the database of the test; says which ones were asked for."""
    asked: list[str | None] = []

    def migrated(url: str | None) -> AbstractContextManager[Any]:
        asked.append(url)
        return migrated_database(url or fresh_database_url)

    monkeypatch.setattr(queries, "migrated_database", migrated)
    return asked


def edit_lock(root: Path, edit: Callable[[dict[str, Any]], Any]) -> None:
    content = json.loads((root / LOCK).read_text(encoding="utf-8"))
    edit(content)
    (root / LOCK).write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def test_the_committed_lock_is_that_of_the_code_and_nothing_is_verified_again(
    monkeypatch: pytest.MonkeyPatch, opened: list[str | None]
) -> None:
    monkeypatch.chdir(ROOT)

    assert query_differences(None, offline=True) == []
    assert query_differences(None, offline=False) == []
    assert opened == []


def test_outside_the_project_there_is_nothing_to_compare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(NotTheRoot):
        query_differences(None, offline=True)
    with pytest.raises(NotTheRoot):
        write_queries()


def test_a_renamed_column_is_told_with_file_and_line_of_each_query_that_breaks(
    root: Path, monkeypatch: pytest.MonkeyPatch, fresh_database_url: str
) -> None:
    monkeypatch.setattr(queries, "schema_hash", lambda: "with the migration that renames")
    ask(fresh_database_url, "ALTER TABLE projects RENAME COLUMN name TO title")
    before = (root / LOCK).read_text(encoding="utf-8")

    with pytest.raises(QueriesInvalid) as told:
        query_differences(None, offline=False)
    with pytest.raises(QueriesInvalid):
        write_queries()

    broken = {line.split(": ")[1] for line in str(told.value).splitlines()}
    assert broken >= {"CreateProject", "FindProject", "ListProjects", "RenameProject"}
    assert f"{ROOT}/packages/infrastructure/src/platform_infrastructure/projects.py:" in str(
        told.value
    )
    assert (root / LOCK).read_text(encoding="utf-8") == before


def test_a_changed_lock_without_a_changed_query_is_told(root: Path) -> None:
    edit_lock(root, lambda content: content["queries"][NAME]["columns"][0].update(type="text"))

    with pytest.raises(QueriesInvalid, match=r"projects.py:\d+: FindProject: changed since"):
        query_differences(None, offline=True)
    (difference,) = query_differences(None, offline=False)

    assert '-     "type": "text"' in difference
    assert '+     "type": "uuid"' in difference


def test_a_changed_query_without_a_changed_lock_is_told(root: Path) -> None:
    edit_lock(root, lambda content: content["queries"][NAME].update(query="0" * 16))

    with pytest.raises(QueriesInvalid, match=r"projects.py:\d+: FindProject: changed since"):
        query_differences(None, offline=True)

    assert len(query_differences(None, offline=False)) == 1


def test_a_query_that_is_gone_is_told(root: Path) -> None:
    edit_lock(root, lambda c: c["queries"].update(Gone=c["queries"][NAME]))

    with pytest.raises(QueriesInvalid, match="more, or other, than the queries of the code"):
        query_differences(None, offline=True)

    assert len(query_differences(None, offline=False)) == 1


def test_generate_verifies_what_changed_and_writes_the_lock(
    root: Path, opened: list[str | None]
) -> None:
    before = (root / LOCK).read_text(encoding="utf-8")
    assert write_queries() == []
    (root / LOCK).unlink()

    assert write_queries() == [LOCK]

    assert (root / LOCK).read_text(encoding="utf-8") == before
    assert opened == [None]


def test_another_database_gets_every_query(
    root: Path, fresh_database_url: str, opened: list[str | None]
) -> None:
    assert query_differences(fresh_database_url, offline=True) == []
    assert opened == [fresh_database_url]

    ask(fresh_database_url, "ALTER TABLE projects ALTER COLUMN name DROP NOT NULL")
    with pytest.raises(QueriesInvalid, match="FindProject: column name can be NULL"):
        query_differences(fresh_database_url, offline=True)


def test_show_tells_parameters_columns_constraints_and_plan() -> None:
    lines = query_lines("RenameProject", None)

    assert lines[0].endswith(": RenameProject: Maybe")
    assert "  id: uuid" in lines
    assert "  version: integer, NOT NULL (NOT NULL column)" in lines
    assert "  projects_owner_name_key: ProjectNameTaken" in lines
    assert any(line.startswith("  Update on projects") for line in lines)


def test_show_tells_what_is_wrong(fresh_database_url: str) -> None:
    ask(fresh_database_url, "ALTER TABLE projects RENAME COLUMN name TO title")

    lines = query_lines(NAME, None)

    assert any('FindProject: column "name" does not exist' in line for line in lines)


def test_show_needs_the_name_of_one_query() -> None:
    with pytest.raises(StartupError, match="0 queries with the name Nothing"):
        query_lines("Nothing", None)

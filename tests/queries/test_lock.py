import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from platform_queries import Query, lock
from platform_queries.verify.verifier import Outcome, Verifier, verified
from tests.queries.written import written_queries

Queries = dict[str, type[Query[Any]]]

TEXT = """
    from dataclasses import dataclass
    from enum import StrEnum

    class Status(StrEnum):
        DRAFT = "draft"
        LIVE = "live"

    @dataclass(frozen=True)
    class Row:
        id: int
        status: Status

    class Find(Maybe[Row]):
        sql = "SELECT id, status FROM projects WHERE id = %(id)s"
        id: int

    class Count(One[int]):
        sql = "SELECT count(*) FROM users"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def queries(folder: Path) -> Queries:
    return written_queries(folder, TEXT)


@pytest.fixture
def outcome(verifier: Verifier, queries: Queries) -> Outcome:
    return verified(verifier.connection, queries, {})


def test_the_lock_names_types_and_says_what_can_be_null_and_why(
    queries: Queries, outcome: Outcome
) -> None:
    entry = json.loads(lock.written(queries, outcome.verified, "schema"))["queries"]["written.Find"]

    assert outcome.problems == []
    assert entry["parameters"] == [{"name": "id", "type": "integer"}]
    assert entry["columns"] == [
        {"name": "id", "type": "integer", "nullable": "never", "reason": "NOT NULL column"},
        {"name": "status", "type": "status", "nullable": "never", "reason": "NOT NULL column"},
    ]


def test_what_is_in_the_lock_is_not_verified_again(
    verifier: Verifier, queries: Queries, outcome: Outcome
) -> None:
    text = lock.written(queries, outcome.verified, "schema")

    trusted = lock.read(text, "schema").trusted(queries)

    assert trusted == outcome.verified
    assert verified(verifier.connection, queries, trusted).verified == trusted
    assert lock.written(queries, trusted, "schema") == text


@pytest.mark.parametrize(
    ("written", "changed"),
    [
        ("WHERE id = %(id)s", "WHERE id > %(id)s"),
        ("        id: int\n\n    class Count", "        id: int | None\n\n    class Count"),
        ("Maybe[Row]", "Many[Row]"),
        ("        status: Status", "        status: Status | None"),
        ('LIVE = "live"', 'LIVE = "alive"'),
        (
            'id = %(id)s"\n',
            'id = %(id)s"\n        unbreakable = {"users_pkey"}\n',
        ),
    ],
)
def test_a_change_of_the_query_its_parameters_or_its_row_is_seen(
    folder: Path, queries: Queries, outcome: Outcome, written: str, changed: str
) -> None:
    assert written in TEXT
    found = lock.read(lock.written(queries, outcome.verified, "schema"), "schema")

    now = written_queries(folder, TEXT.replace(written, changed))

    assert set(found.trusted(now)) == {"written.Count"}
    assert found.lacking(now) == ["written.Find"]


def test_a_change_of_the_schema_is_seen(queries: Queries, outcome: Outcome) -> None:
    text = lock.written(queries, outcome.verified, "schema")
    found = lock.read(text, "another schema")

    assert found.trusted(queries) == {}
    assert found.lacking(queries) == [], "the statements are those that were verified"


def test_a_change_of_the_verifier_is_seen(
    monkeypatch: pytest.MonkeyPatch, queries: Queries, outcome: Outcome
) -> None:
    found = lock.read(lock.written(queries, outcome.verified, "schema"), "schema")
    monkeypatch.setattr(lock, "verifier_hash", lambda: "another")

    assert found.trusted(queries) == {}
    assert found.lacking(queries) == [], "the statements are those that were verified"


def edited(text: str, edit: Callable[[dict[str, Any]], Any]) -> str:
    content = json.loads(text)
    edit(content["queries"]["written.Find"])
    return json.dumps(content)


@pytest.mark.parametrize(
    "edit",
    [
        lambda entry: entry["columns"][0].update(nullable="can"),
        lambda entry: entry["columns"].pop(),
        lambda entry: entry["parameters"][0].update(type="text"),
        lambda entry: entry["constraints"].append("users_pkey"),
        lambda entry: entry.update(query="0" * 16),
        lambda entry: entry.update(proof="0" * 16),
        lambda entry: entry.update(more=1),
    ],
)
def test_an_entry_that_somebody_edited_is_not_trusted(
    queries: Queries, outcome: Outcome, edit: Callable[[dict[str, Any]], Any]
) -> None:
    text = edited(lock.written(queries, outcome.verified, "schema"), edit)

    assert set(lock.read(text, "schema").trusted(queries)) == {"written.Count"}


@pytest.mark.parametrize("text", ["", "<<<<<<< HEAD", "[]", "{}", '{"queries": [1]}', "null"])
def test_a_lock_that_cannot_be_read_knows_nothing(queries: Queries, text: str) -> None:
    assert lock.read(text, "schema").trusted(queries) == {}


def test_a_row_of_several_queries_may_be_null_in_one_of_them(
    verifier: Verifier, folder: Path
) -> None:
    row = """
        from dataclasses import dataclass

        @dataclass
        class Nick:
            nick: str | None

        class Known(Many[Nick]):
            sql = "SELECT nick FROM users WHERE nick IS NOT NULL"
    """
    alone = written_queries(folder, row)
    both = written_queries(
        folder,
        row + '\n        class All(Many[Nick]):\n            sql = "SELECT nick FROM users"\n',
    )

    assert verified(verifier.connection, alone, {}).problems == [
        "written.py:9: Known: column nick is never NULL (WHERE or ON excludes NULL): drop `| None`"
    ]
    assert verified(verifier.connection, both, {}).problems == []

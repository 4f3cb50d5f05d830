from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from loguru import logger

from platform_domain.errors import DomainError
from platform_domain.startup import StartupError
from platform_infrastructure.postgres import verification
from platform_infrastructure.postgres.verification import (
    all_queries,
    migrated_database,
    ours,
    packaged,
    require_version,
    verified_queries,
)
from platform_queries.lock import Lock
from platform_queries.verify.verifier import verified
from tests.infrastructure.postgres.connections import settings_for
from tests.queries.written import written_queries

pytestmark = pytest.mark.anyio

NOWHERE = "postgresql://postgres@127.0.0.1:1/none"


@pytest.fixture
def logged() -> Iterator[list[str]]:
    lines: list[str] = []
    sink = logger.add(
        lambda message: lines.append(str(message).strip()), level="INFO", format="{message} {extra}"
    )
    yield lines
    logger.remove(sink)


@pytest.fixture(autouse=True)
def only_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests define queries of their own."""
    all_queries()
    monkeypatch.setattr(verification, "QUERIES", ours())


async def test_production_starts_with_the_queries_of_the_lock() -> None:
    async with verified_queries(settings_for(NOWHERE), development=False):
        pass


async def test_production_refuses_a_query_that_is_not_in_the_lock(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = """
        class Unverified(One[int]):
            sql = "SELECT 1"
    """
    monkeypatch.setattr(verification, "QUERIES", written_queries(tmp_path, text))

    with pytest.raises(StartupError, match=r"written.Unverified.*platform generate"):
        async with verified_queries(settings_for(NOWHERE), development=False):
            pass


async def test_development_asks_no_database_when_nothing_changed(logged: list[str]) -> None:
    async with verified_queries(settings_for(NOWHERE), development=True):
        pass

    assert logged == []


async def test_development_verifies_what_changed_and_says_so(
    monkeypatch: pytest.MonkeyPatch, database_url: str, logged: list[str]
) -> None:
    found = packaged()
    one = next(iter(found.entries))
    others = {name: entry for name, entry in found.entries.items() if name != one}
    monkeypatch.setattr(verification, "packaged", lambda: Lock(others, found.schema))

    async with verified_queries(settings_for(database_url), development=True):
        pass

    (line,) = logged
    assert line.startswith("Verified new and changed queries.")
    assert "'count': 1" in line


async def test_development_starts_with_a_wrong_query_and_says_where_it_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, database_url: str, logged: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = """
        class Misspelt(One[int]):
            sql = "SELECT cuont(*) FROM projects"
    """
    queries = written_queries(tmp_path, text)
    monkeypatch.setattr(verification, "ours", lambda: queries)

    async with verified_queries(settings_for(database_url), development=True):
        pass

    (line,) = logged
    assert "written.py:4: Misspelt: function cuont() does not exist" in line


async def test_development_without_a_fit_database_says_that_nothing_was_verified(
    monkeypatch: pytest.MonkeyPatch, logged: list[str]
) -> None:
    monkeypatch.setattr(verification, "packaged", lambda: Lock({}, ""))

    async with verified_queries(settings_for(NOWHERE), development=True):
        pass

    (line,) = logged
    assert line.startswith("Changed queries are not verified")


def test_every_query_of_production_is_looked_at() -> None:
    assert set(ours()) == set(packaged().entries)


def test_a_postgresql_that_is_too_old_is_refused_with_the_reason() -> None:
    require_version(160_000)
    with pytest.raises(StartupError, match=r"PostgreSQL 15 cannot verify .* outer joins"):
        require_version(150_014)


def test_a_database_of_ones_own_is_used_as_it_is(database_url: str) -> None:
    with migrated_database(database_url) as connection:
        row = connection.execute("SELECT count(*) FROM projects").fetchone()

    assert row == (0,)


def test_a_database_without_the_migrations_is_refused(empty_database_url: str) -> None:
    with (
        pytest.raises(StartupError, match=r"lacks .*projects.*platform migrate"),
        migrated_database(empty_database_url),
    ):
        pass


def test_a_database_that_cannot_be_reached_is_told() -> None:
    with (
        pytest.raises(StartupError, match="The database to verify against"),
        migrated_database("postgresql://postgres@127.0.0.1:1/none"),
    ):
        pass


def test_a_url_with_a_password_that_is_not_encoded_is_not_repeated() -> None:
    with (
        pytest.raises(StartupError, match="percent-encode") as caught,
        migrated_database("postgresql://postgres:hun@ter2@127.0.0.1:1/none"),
    ):
        pass

    assert "ter2" not in f"{caught.value} {caught.value.__cause__}"


def test_without_one_there_is_a_temporary_postgresql_18_with_all_migrations() -> None:
    with migrated_database(None) as connection:
        assert connection.info.server_version // 10_000 == 18
        assert connection.execute("SELECT count(*) FROM projects").fetchone() == (0,)


def test_a_renamed_column_breaks_each_query_that_reads_it_at_its_line(
    fresh_database_url: str,
) -> None:
    queries = all_queries()
    with psycopg.connect(fresh_database_url, autocommit=True) as connection:
        assert verified(connection, queries, {}).problems == []
        connection.execute("ALTER TABLE projects RENAME COLUMN owner TO creator")

        problems = verified(connection, queries, {}).problems

    broken = [problem.split(": ")[1] for problem in problems]
    assert {"CreateProject", "FindProject", "ListProjects", "DeleteProject"} <= set(broken)
    for problem in problems:
        path, line, _ = problem.split(":", 2)
        assert "owner" in Path(path).read_text(encoding="utf-8").splitlines()[int(line) - 1]


def test_every_committed_query_is_found() -> None:
    names = {name.rpartition(".")[2] for name in all_queries()}

    assert {"CreateProject", "FindProject", "ListProjects"} <= names
    assert all(name.startswith("platform_infrastructure.") for name in all_queries())


def test_a_violated_constraint_is_always_a_domain_error() -> None:
    raised = {(name, error) for name, query in ours().items() for error in query.raises.values()}

    assert raised, "some query names what it raises"
    assert {name for name, error in raised if not issubclass(error, DomainError)} == set()

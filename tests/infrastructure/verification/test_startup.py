from collections.abc import Iterator
from pathlib import Path

import pytest
from loguru import logger

from platform_domain.startup import StartupError
from platform_infrastructure.postgres.verification import lock, startup
from platform_infrastructure.postgres.verification.lock import Lock
from platform_infrastructure.postgres.verification.registered import all_queries, ours
from platform_infrastructure.postgres.verification.startup import verified_queries
from tests.infrastructure.postgres.connections import settings_for
from tests.infrastructure.verification.written import written_queries

pytestmark = pytest.mark.anyio

NOWHERE = "postgresql://postgres@127.0.0.1:1/none"


@pytest.fixture
def logged() -> Iterator[list[str]]:
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(message.record["message"]), level="INFO")
    yield lines
    logger.remove(sink)


@pytest.fixture(autouse=True)
def only_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests define queries of their own."""
    all_queries()
    monkeypatch.setattr(startup, "QUERIES", ours())


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
    monkeypatch.setattr(startup, "QUERIES", written_queries(tmp_path, text))

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
    packaged = lock.packaged()
    one = next(iter(packaged.entries))
    others = {name: entry for name, entry in packaged.entries.items() if name != one}
    monkeypatch.setattr(lock, "packaged", lambda: Lock(others))

    async with verified_queries(settings_for(database_url), development=True):
        pass

    (line,) = logged
    assert line.startswith("Verified 1 new or changed queries.")


async def test_development_starts_with_a_wrong_query_and_says_where_it_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, database_url: str, logged: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = """
        class Misspelt(One[int]):
            sql = "SELECT cuont(*) FROM projects"
    """
    queries = written_queries(tmp_path, text)
    monkeypatch.setattr(startup, "ours", lambda: queries)

    async with verified_queries(settings_for(database_url), development=True):
        pass

    (line,) = logged
    assert line.startswith("written.py:4: Misspelt: function cuont() does not exist")


async def test_development_without_a_fit_database_says_that_nothing_was_verified(
    monkeypatch: pytest.MonkeyPatch, logged: list[str]
) -> None:
    monkeypatch.setattr(lock, "packaged", lambda: Lock({}))

    async with verified_queries(settings_for(NOWHERE), development=True):
        pass

    (line,) = logged
    assert line.startswith("Changed queries are not verified: ")


def test_every_query_of_production_is_looked_at() -> None:
    assert set(ours()) == set(lock.packaged().entries)

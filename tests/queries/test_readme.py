"""The example in the README of platform-queries, as written there."""

import re
import sys
from pathlib import Path

import psycopg
import pytest
from psycopg import AsyncConnection

from platform_queries import QUERIES
from platform_queries.verify.verifier import verified

pytestmark = pytest.mark.anyio

README = Path(__file__).parents[2] / "packages" / "queries" / "README.md"
FILMS = "CREATE TABLE films (id int PRIMARY KEY, title text NOT NULL, rating text)"


async def test_the_example_runs_and_is_proved(
    empty_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    declared = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)[0]
    (tmp_path / "films_of_the_readme.py").write_text(declared, encoding="utf-8")
    films = __import__("films_of_the_readme")
    queries = {name: query for name, query in QUERIES.items() if name.startswith(films.__name__)}

    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute(FILMS)
        outcome = verified(connection, queries, {})
    async with await AsyncConnection.connect(empty_database_url, autocommit=True) as connection:
        await films.AddFilm(id=7, title="Alien").execute(connection)
        film = await films.FindFilm(id=7).execute(connection)

    assert outcome.problems == []
    assert len(queries) == 2
    assert film == films.Film(id=7, title="Alien", rating=None)

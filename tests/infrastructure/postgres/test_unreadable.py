"""Stored values that cannot be read: our fault, never the caller's."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any, Literal, TypedDict

import psycopg
import pytest

from platform_domain.errors import InvalidInput
from platform_infrastructure.postgres.connections import Connections
from platform_infrastructure.postgres.database import Database, PostgresUnitOfWork
from platform_queries import Exec, Many, Maybe, One, Query
from platform_queries.annotations import NotNull
from platform_queries.rows import NullBroughtError, UnreadableError
from platform_queries.verify.verifier import Verifier
from tests.databases import temporary_database
from tests.infrastructure.postgres.connections import ask, opened
from tests.infrastructure.postgres.test_rows import Mood, PromisedMood

pytestmark = pytest.mark.anyio

SCHEMA = """
    CREATE TYPE mood AS ENUM ('happy', 'so so', 'sad "really"');
    CREATE TABLE kept (
        id int PRIMARY KEY, at timestamptz NOT NULL DEFAULT now(),
        local timestamp NOT NULL DEFAULT now(), day date NOT NULL DEFAULT now(),
        clock time NOT NULL DEFAULT '00:00', zoned timetz NOT NULL DEFAULT '00:00Z',
        took interval NOT NULL DEFAULT '0', mood mood NOT NULL DEFAULT 'happy',
        moods mood[] NOT NULL DEFAULT '{}', meta jsonb NOT NULL DEFAULT '{"color": "red"}',
        tags jsonb NOT NULL DEFAULT '[]', times timestamptz[] NOT NULL DEFAULT '{}',
        past timestamptz, word text NOT NULL DEFAULT '1'
    );
"""


class Meta(TypedDict):
    color: str


@dataclass(frozen=True, slots=True)
class Kept:
    at: datetime
    local: datetime
    day: date
    clock: time
    zoned: time
    took: timedelta
    mood: Mood
    moods: list[Literal["happy", "so so", 'sad "really"']]
    meta: Meta
    tags: list[str]
    times: list[datetime]
    past: datetime | None


class ListKept(Many[Kept]):
    sql = """
        SELECT at, local, day, clock, zoned, took, mood, moods, meta, tags, times, past
        FROM kept ORDER BY id
    """


class FindKept(Maybe[Kept]):
    sql = """
        SELECT at, local, day, clock, zoned, took, mood, moods, meta, tags, times, past
        FROM kept WHERE id = %(id)s
    """
    id: int


class TakeKept(One[Kept]):
    sql = """
        DELETE FROM kept WHERE id = %(id)s
        RETURNING at, local, day, clock, zoned, took, mood, moods, meta, tags, times, past
    """
    id: int


class LastMoment(One[datetime | None]):
    sql = "SELECT max(at) FROM kept"


class Words(Many[int]):
    sql = "SELECT word::int FROM kept"


class WordOf(Maybe[int]):
    sql = "SELECT word::int FROM kept WHERE id = %(id)s"
    id: int


class AddWord(Exec):
    sql = "UPDATE kept SET word = (word::int + %(number)s)::text"
    number: int


class Echo(One[str | None]):
    sql = "SELECT %(text)s::text"
    text: str


class Field(One[str | None]):
    sql = "SELECT %(meta)s::jsonb ->> 'x'"
    meta: dict[str, str]


class Shift(One[Annotated[datetime, NotNull]]):
    sql = "SELECT now() + make_interval(secs => %(seconds)s)"
    seconds: float


QUERIES = [ListKept, FindKept, TakeKept, LastMoment, Words, WordOf, AddWord, Echo, Field, Shift]

VALUES = [
    ("at", "'infinity'"),
    ("at", "'-infinity'"),
    ("at", "'0044-03-15 BC'"),
    ("at", "'10000-01-01'"),
    ("local", "'infinity'"),
    ("local", "'12345-01-01'"),
    ("day", "'infinity'"),
    ("day", "'10000-01-01'"),
    ("day", "'0044-03-15 BC'"),
    ("clock", "'24:00'"),
    ("zoned", "'24:00Z'"),
    ("took", "'178000000 years'"),
    ("took", "'1000000000 days'"),
    ("took", "'infinity'"),
    ("took", "'-infinity'"),
    ("meta", "'[]'"),
    ("meta", "'null'"),
    ("meta", '\'{"colour": "red"}\''),
    ("meta", "('{\"color\": ' || repeat('9', 5000) || '}')::jsonb"),
    ("tags", "'{}'"),
    ("times", "'{now, infinity}'"),
    ("past", "'-infinity'"),
]


@pytest.fixture(scope="module")
def kept_url(database_server: str, worker_name: str) -> Iterator[str]:
    with temporary_database(database_server, f"{worker_name}_unreadable") as url:
        ask(url, SCHEMA)
        yield url


@pytest.fixture
async def connections(kept_url: str) -> AsyncIterator[Connections]:
    ask(kept_url, "DELETE FROM kept")
    ask(kept_url, "INSERT INTO kept (id) VALUES (1)")
    async with opened(kept_url) as connections:
        yield connections


@pytest.fixture
def database(connections: Connections) -> Database:
    return Database(connections)


@pytest.mark.parametrize("query", QUERIES)
def test_every_query_of_these_tests_is_verified(kept_url: str, query: type[Query[Any]]) -> None:
    with psycopg.connect(kept_url, autocommit=True) as connection:
        _, problems = Verifier(connection).verify(query)

    assert [problem.message for problem in problems] == []


@pytest.mark.parametrize(("column", "value"), VALUES)
async def test_a_value_that_python_cannot_hold_names_query_and_column(
    database: Database, kept_url: str, column: str, value: str
) -> None:
    ask(kept_url, f"INSERT INTO kept (id, {column}) VALUES (2, {value})")

    with pytest.raises(UnreadableError, match=f"^ListKept, column {column}: "):
        await database.run(ListKept())
    with pytest.raises(UnreadableError, match=f"^FindKept, column {column}: "):
        await database.run(FindKept(id=2))

    assert await database.run(FindKept(id=1)) is not None, "the other rows can be read"


async def test_a_label_that_this_version_does_not_know_is_unreadable(
    database_server: str, worker_name: str
) -> None:
    with temporary_database(database_server, f"{worker_name}_labels") as url:
        ask(url, SCHEMA.replace("'happy'", "'happy', 'new'", 1))
        ask(url, "INSERT INTO kept (id, mood) VALUES (1, 'new')")
        ask(url, "INSERT INTO kept (id, moods) VALUES (2, '{happy,new}')")
        async with opened(url) as there:
            for number, column in ((1, "mood"), (2, "moods")):
                with pytest.raises(UnreadableError, match=f"FindKept, column {column}: 'new' is"):
                    await Database(there).run(FindKept(id=number))


async def test_a_single_value_has_the_name_of_its_column(database: Database, kept_url: str) -> None:
    ask(kept_url, "UPDATE kept SET at = 'infinity'")

    with pytest.raises(UnreadableError, match=r"^LastMoment, column max: "):
        await database.run(LastMoment())


async def test_a_unit_of_work_that_could_not_read_changes_nothing(
    connections: Connections, kept_url: str
) -> None:
    ask(kept_url, "UPDATE kept SET at = 'infinity'")

    async def work() -> None:
        await Database(connections).run(TakeKept(id=1))

    with pytest.raises(UnreadableError):
        await PostgresUnitOfWork(connections).run(work)

    assert ask(kept_url, "SELECT count(*) FROM kept") == [(1,)]


@pytest.mark.parametrize("query", [Words(), WordOf(id=1), AddWord(number=1)])
async def test_a_stored_text_that_the_statement_cannot_convert_is_not_the_callers_fault(
    database: Database, kept_url: str, query: Query[Any]
) -> None:
    ask(kept_url, "UPDATE kept SET word = 'many'")

    with pytest.raises(UnreadableError, match=f"^{type(query).__name__}: invalid input syntax"):
        await database.run(query)


@pytest.mark.parametrize(
    "query", [Echo(text="\0"), Echo(text="\ud800"), Field(meta={"x": "\0"}), Shift(seconds=1e300)]
)
async def test_a_parameter_that_does_not_fit_is_the_callers_fault(
    database: Database, query: Query[Any]
) -> None:
    with pytest.raises(InvalidInput):
        await database.run(query)


async def test_a_broken_promise_names_the_query_too(database: Database) -> None:
    with pytest.raises(NullBroughtError, match=r"^PromisedMood, column mood: mood was promised"):
        await database.run(PromisedMood(known=False))

"""Values on their way to PostgreSQL and back; every query here passes verification first."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal, NewType, TypedDict
from uuid import UUID

import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from platform_queries import Exec, Many, Maybe, NotNull, NullBroughtError, One, Query
from platform_queries.verify.verifier import Verifier
from tests.databases import temporary_database

pytestmark = pytest.mark.anyio

SCHEMA = """
CREATE TYPE mood AS ENUM ('happy', 'so so', 'sad "really"');
CREATE DOMAIN short AS text NOT NULL;
CREATE TABLE things (
    id uuid PRIMARY KEY, name short NOT NULL, mood mood NOT NULL, before mood, moods mood[] NOT NULL,
    tags text[] NOT NULL, counts bigint[], flag boolean NOT NULL, ratio double precision NOT NULL,
    price numeric NOT NULL, at timestamptz NOT NULL, local timestamp NOT NULL, day date NOT NULL,
    clock time NOT NULL, took interval NOT NULL, data bytea NOT NULL, meta jsonb NOT NULL,
    extra jsonb, small smallint NOT NULL
);
"""
ThingId = NewType("ThingId", UUID)
Name = NewType("Name", str)


class Mood(StrEnum):
    HAPPY = "happy"
    SO_SO = "so so"
    SAD = 'sad "really"'


class Meta(TypedDict):
    color: str


@dataclass(frozen=True, slots=True)
class Thing:
    id: ThingId
    name: Name
    mood: Mood
    before: Mood | None
    moods: list[Mood]
    tags: list[str]
    counts: list[int] | None
    flag: bool
    ratio: float
    price: Decimal
    at: datetime
    local: datetime
    day: date
    clock: time
    took: timedelta
    data: bytes
    meta: Meta
    extra: Any
    small: int


class Keep(One[Thing]):
    sql = """
        INSERT INTO things VALUES (
            %(id)s, %(name)s, %(mood)s, %(before)s, %(moods)s, %(tags)s, %(counts)s, %(flag)s,
            %(ratio)s, %(price)s, %(at)s, %(local)s, %(day)s, %(clock)s, %(took)s, %(data)s,
            %(meta)s, %(extra)s, %(small)s)
        RETURNING *
    """
    unbreakable = {"things_pkey"}
    id: ThingId
    name: Name
    mood: Mood
    before: Mood | None
    moods: list[Mood]
    tags: list[str]
    counts: list[int] | None
    flag: bool
    ratio: float
    price: Decimal
    at: datetime
    local: datetime
    day: date
    clock: time
    took: timedelta
    data: bytes
    meta: Meta
    extra: Jsonb | None
    small: int


class Moods(Many[Mood]):
    sql = "SELECT mood FROM things WHERE mood = ANY (%(moods)s) OR before = %(before)s"
    moods: list[Mood]
    before: Mood


class AllMoods(One[Annotated[list[Mood], NotNull]]):
    sql = "SELECT enum_range(NULL::mood)"


class MoodArray(One[list[Mood | None]]):
    sql = "SELECT ARRAY['happy', NULL, 'sad \"really\"']::mood[]"


class Label(One[Literal["happy", "so so", 'sad "really"']]):
    sql = "SELECT 'so so'::mood"


class MaybeMood(Maybe[Mood | None]):
    sql = "SELECT before FROM things"


class Promised(One[Annotated[str, NotNull]]):
    sql = "SELECT substring(%(text)s::text FROM 'a+')"
    text: str


@dataclass(frozen=True, slots=True)
class PromisedRow:
    mood: Annotated[Mood, NotNull]


class PromisedMood(One[PromisedRow]):
    sql = "SELECT CASE WHEN %(known)s THEN 'happy'::mood END AS mood"
    known: bool


class Forget(Exec):
    sql = "DELETE FROM things WHERE meta = %(meta)s"
    meta: dict[str, Any]


@pytest.fixture(scope="module")
def things_url(database_server: str, worker_name: str) -> Iterator[str]:
    with temporary_database(database_server, f"{worker_name}_rows") as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(SCHEMA.encode())
        yield url


@pytest.fixture
async def connection(things_url: str) -> AsyncIterator[AsyncConnection[Any]]:
    async with await AsyncConnection.connect(things_url, autocommit=True) as connection:
        await connection.execute("TRUNCATE things")
        yield connection


THING = Keep(
    id=ThingId(UUID(int=7)),
    name=Name("lamp"),
    mood=Mood.SAD,
    before=None,
    moods=[Mood.SAD, Mood.SO_SO],
    tags=["a", 'b "c"'],
    counts=[1, 2**40],
    flag=True,
    ratio=1.5,
    price=Decimal("9.99"),
    at=datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
    local=datetime(2026, 1, 2, 3, 4),
    day=date(2026, 1, 2),
    clock=time(3, 4),
    took=timedelta(hours=5),
    data=b"\x00\xff",
    meta={"color": "red"},
    extra=Jsonb([1, None]),
    small=3,
)


@pytest.mark.parametrize(
    "query",
    [Keep, Moods, AllMoods, MoodArray, Label, MaybeMood, Promised, PromisedMood, Forget],
)
def test_every_query_of_these_tests_is_verified(things_url: str, query: type[Query[Any]]) -> None:
    with psycopg.connect(things_url, autocommit=True) as connection:
        _, problems = Verifier(connection).verify(query)

    assert [problem.message for problem in problems] == []


async def test_a_row_has_the_values_and_types_of_its_annotations(
    connection: AsyncConnection[Any],
) -> None:
    thing = await THING.execute(connection)

    assert vars(THING) | {"extra": [1, None]} == {
        name: getattr(thing, name) for name in vars(THING)
    }
    assert type(thing.mood) is Mood
    assert [type(mood) for mood in thing.moods] == [Mood, Mood]


async def test_an_enum_is_sent_by_its_label_alone_and_in_arrays(
    connection: AsyncConnection[Any],
) -> None:
    await THING.execute(connection)

    found = await Moods(moods=[Mood.SAD, Mood.HAPPY], before=Mood.HAPPY).execute(connection)
    none = await Moods(moods=[], before=Mood.HAPPY).execute(connection)

    assert (found, none) == ([Mood.SAD], [])


async def test_a_single_value_is_converted_like_a_column(connection: AsyncConnection[Any]) -> None:
    await THING.execute(connection)

    assert await AllMoods().execute(connection) == list(Mood)
    assert await MoodArray().execute(connection) == [Mood.HAPPY, None, Mood.SAD]
    assert await Label().execute(connection) == "so so"
    assert await MaybeMood().execute(connection) is None


async def test_a_dictionary_is_sent_as_json(connection: AsyncConnection[Any]) -> None:
    await THING.execute(connection)

    assert await Forget(meta={"color": "red"}).execute(connection) == 1


async def test_a_promise_that_is_broken_is_a_clear_error(connection: AsyncConnection[Any]) -> None:
    assert await Promised(text="baab").execute(connection) == "aa"
    assert (await PromisedMood(known=True).execute(connection)).mood is Mood.HAPPY

    with pytest.raises(NullBroughtError, match="the value was promised with NotNull"):
        await Promised(text="b").execute(connection)
    with pytest.raises(NullBroughtError, match="mood was promised with NotNull"):
        await PromisedMood(known=False).execute(connection)

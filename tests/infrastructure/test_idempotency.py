import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import pytest
from starlette.responses import Response

from platform_api.idempotency import Once
from platform_domain.errors import Unavailable
from platform_domain.idempotency import (
    KEPT_FOR,
    IdempotencyKeyInUse,
    IdempotencyKeyReused,
    IdempotencyKeys,
    KeptAnswer,
    KeyedRequest,
)
from platform_domain.identity import UserId
from platform_domain.projects import ProjectNameTaken
from platform_domain.unit_of_work import UnitOfWork
from platform_infrastructure import idempotency
from platform_infrastructure.idempotency import PostgresIdempotencyKeys
from platform_infrastructure.postgres.connections import Connections
from platform_infrastructure.postgres.database import Database, PostgresUnitOfWork
from platform_infrastructure.projects import PostgresProjects
from tests.fakes import ImmediateUnitOfWork, InMemoryIdempotencyKeys
from tests.infrastructure.postgres.connections import ask, opened

pytestmark = pytest.mark.anyio

T = TypeVar("T")
Work = Callable[[], Awaitable[T]]

ALICE, BOB = UserId("alice"), UserId("bob")
REQUEST = KeyedRequest(ALICE, "POST /projects", "k-1", b"\x00" * 32)
ANSWER = KeptAnswer(201, "application/json", b'{"id":1}')


class World:
    """The keys and the unit of work that they need."""

    def __init__(self, keys: IdempotencyKeys, unit_of_work: UnitOfWork) -> None:
        self.keys = keys
        self._unit_of_work = unit_of_work

    async def run(self, work: Work[T]) -> T:
        # A task of its own, as every request has.
        return await asyncio.create_task(self._run(work))

    async def claim(self, request: KeyedRequest = REQUEST) -> KeptAnswer | None:
        return await self.run(lambda: self.keys.claim(request))

    async def keep(self, request: KeyedRequest = REQUEST, answer: KeptAnswer = ANSWER) -> None:
        async def work() -> None:
            assert await self.keys.claim(request) is None
            await self.keys.keep(request, answer)

        await self.run(work)

    async def _run(self, work: Work[T]) -> T:
        return await self._unit_of_work.run(work)


@pytest.fixture
async def connections(database_url: str) -> AsyncIterator[Connections]:
    async with opened(database_url) as connections:
        yield connections


@pytest.fixture
def keys(connections: Connections) -> PostgresIdempotencyKeys:
    return PostgresIdempotencyKeys(Database(connections))


@pytest.fixture(params=["postgres", "memory"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """The adapter, and the fake that stands for it elsewhere: they must not differ."""
    if request.param == "memory":
        yield World(InMemoryIdempotencyKeys(), ImmediateUnitOfWork())
        return
    async with opened(request.getfixturevalue("database_url")) as connections:
        keys = PostgresIdempotencyKeys(Database(connections))
        yield World(keys, PostgresUnitOfWork(connections))


async def test_a_new_key_has_no_answer(world: World) -> None:
    assert await world.claim() is None


@pytest.mark.parametrize(
    "answer", [ANSWER, KeptAnswer(204, None, b""), KeptAnswer(200, "x", b"\0")]
)
async def test_an_answer_is_found_as_it_was_kept(world: World, answer: KeptAnswer) -> None:
    await world.keep(answer=answer)

    assert await world.claim() == answer


@pytest.mark.parametrize(
    "other",
    [
        replace(REQUEST, caller=BOB),
        replace(REQUEST, operation="POST /scenes"),
        replace(REQUEST, key="k-2"),
    ],
)
async def test_a_key_is_another_for_another_caller_or_operation(
    world: World, other: KeyedRequest
) -> None:
    await world.keep()

    assert await world.claim(other) is None


async def test_another_fingerprint_is_refused(world: World) -> None:
    await world.keep()

    with pytest.raises(IdempotencyKeyReused):
        await world.claim(replace(REQUEST, fingerprint=b"\x01" * 32))


async def test_a_key_is_refused_to_others_until_the_unit_of_work_ends(world: World) -> None:
    claimed, may_end = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        await world.keys.claim(REQUEST)
        claimed.set()
        await may_end.wait()

    first = asyncio.create_task(world.run(work))
    await claimed.wait()
    async with asyncio.timeout(1):
        with pytest.raises(IdempotencyKeyInUse):
            await world.claim()
        for free in (
            replace(REQUEST, key="k-2"),
            replace(REQUEST, caller=BOB),
            replace(REQUEST, operation="POST /scenes"),
        ):
            assert await world.claim(free) is None, "only this key is taken"

    may_end.set()
    await first
    assert await world.claim() is None


async def test_a_claim_ends_with_a_unit_of_work_that_failed(world: World) -> None:
    async def work() -> None:
        await world.keys.claim(REQUEST)
        raise Unavailable

    with pytest.raises(Unavailable):
        await world.run(work)

    assert await world.claim() is None


async def test_an_answer_is_kept_for_its_time(
    keys: PostgresIdempotencyKeys, connections: Connections, database_url: str
) -> None:
    world = World(keys, PostgresUnitOfWork(connections))
    await world.keep()

    ((expires_at,),) = ask(database_url, "SELECT expires_at FROM idempotency_keys")
    assert abs(expires_at - datetime.now(UTC) - KEPT_FOR) < timedelta(minutes=1)


async def test_an_expired_key_is_as_good_as_new(
    keys: PostgresIdempotencyKeys, connections: Connections, database_url: str
) -> None:
    world = World(keys, PostgresUnitOfWork(connections))
    await world.keep()
    expire(database_url)

    other = replace(REQUEST, fingerprint=b"\x01" * 32)
    await world.keep(other, KeptAnswer(200, None, b"new"))

    assert await world.claim(other) == KeptAnswer(200, None, b"new")


async def test_only_expired_keys_are_forgotten_however_many(
    keys: PostgresIdempotencyKeys,
    connections: Connections,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(idempotency, "BATCH", 2)
    world = World(keys, PostgresUnitOfWork(connections))
    for number in range(5):
        await world.keep(replace(REQUEST, key=f"old-{number}"))
    expire(database_url)
    await world.keep()

    await keys.forget_expired(asyncio.Event())

    assert ask(database_url, "SELECT key FROM idempotency_keys") == [("k-1",)]


async def test_forgetting_ends_when_it_is_told_to(
    keys: PostgresIdempotencyKeys,
    connections: Connections,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(idempotency, "BATCH", 1)
    world = World(keys, PostgresUnitOfWork(connections))
    for number in range(3):
        await world.keep(replace(REQUEST, key=f"old-{number}"))
    expire(database_url)
    stopping = asyncio.Event()
    stopping.set()

    await keys.forget_expired(stopping)

    assert ask(database_url, "SELECT count(*) FROM idempotency_keys") == [(2,)]


async def test_forgetting_without_the_table_is_no_crash(empty_database_url: str) -> None:
    async with opened(empty_database_url) as connections:
        await PostgresIdempotencyKeys(Database(connections)).forget_expired(asyncio.Event())


class CrashingKeys(PostgresIdempotencyKeys):
    """Dies between the handler and the keeping of its answer."""

    async def keep(self, request: KeyedRequest, answer: KeptAnswer) -> None:
        raise ConnectionResetError


class Creation:
    """A handler: it creates a project in a unit of work that joins the outer one."""

    def __init__(self, connections: Connections) -> None:
        self._projects = PostgresProjects(Database(connections))
        self._unit_of_work = PostgresUnitOfWork(connections)

    async def __call__(self) -> Response:
        project = await self._unit_of_work.run(
            lambda: self._projects.create("Storyboard", owner=ALICE)
        )
        return Response(str(project.id), 201, media_type="text/plain")


async def test_a_crash_before_the_answer_is_kept_leaves_nothing(
    keys: PostgresIdempotencyKeys, connections: Connections, database_url: str
) -> None:
    unit_of_work, creation = PostgresUnitOfWork(connections), Creation(connections)
    crashing = CrashingKeys(Database(connections))

    with pytest.raises(ConnectionResetError):
        await Once(crashing, unit_of_work).answer(REQUEST, creation)
    assert ask(database_url, "SELECT count(*) FROM projects") == [(0,)]

    first = await Once(keys, unit_of_work).answer(REQUEST, creation)
    again = await Once(keys, unit_of_work).answer(REQUEST, creation)

    assert (again.body, again.status_code, again.media_type) == (first.body, 201, "text/plain")
    assert ask(database_url, "SELECT id::text FROM projects") == [(bytes(first.body).decode(),)]


async def test_what_was_rolled_back_can_be_repeated(
    keys: PostgresIdempotencyKeys, connections: Connections, database_url: str
) -> None:
    creation = Creation(connections)
    once = Once(keys, PostgresUnitOfWork(connections))
    await creation()

    with pytest.raises(ProjectNameTaken):
        await once.answer(REQUEST, creation)
    assert ask(database_url, "SELECT count(*) FROM idempotency_keys") == [(0,)]

    ask(database_url, "DELETE FROM projects")
    assert (await once.answer(REQUEST, creation)).status_code == 201


def expire(url: str) -> None:
    ask(url, "UPDATE idempotency_keys SET expires_at = now()")

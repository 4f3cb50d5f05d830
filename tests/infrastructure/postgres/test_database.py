import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from uuid import uuid4

import psycopg
import pytest

from platform_domain.errors import Conflict, Contended, InvalidInput, Unavailable
from platform_domain.projects import ProjectNameTaken
from platform_infrastructure.postgres.breaker import Breaker
from platform_infrastructure.postgres.connections import Connections
from platform_infrastructure.postgres.database import (
    BACKOFF_MAX_SECONDS,
    BACKOFF_SECONDS,
    Database,
    PostgresUnitOfWork,
)
from platform_infrastructure.postgres.pool import WAITING_PER_CONNECTION
from platform_infrastructure.projects import CreateProject, FindProject, RenameProject
from platform_queries import Many, Maybe, One, RowCountError, query
from tests.infrastructure.postgres.connections import ask, opened
from tests.infrastructure.postgres.queries import Backend, CountProjects, Sleep, Touch

pytestmark = pytest.mark.anyio


class Numbers(Many[int]):
    sql = "SELECT n FROM generate_series(1, %(count)s::int) AS n"
    count: int


class OneNumber(One[int]):
    sql = "SELECT n FROM generate_series(1, %(count)s::int) AS n"
    count: int


class MaybeNumber(Maybe[int]):
    sql = "SELECT n FROM generate_series(1, %(count)s::int) AS n"
    count: int


@pytest.fixture
async def connections(database_url: str) -> AsyncIterator[Connections]:
    async with opened(database_url, pool_max_size=4, pool_timeout=0.5) as connections:
        yield connections


@pytest.fixture
def database(connections: Connections) -> Database:
    return Database(connections)


@pytest.fixture
def unit_of_work(connections: Connections) -> PostgresUnitOfWork:
    return PostgresUnitOfWork(connections)


def new_project(name: str = "Storyboard") -> CreateProject:
    return CreateProject(id=uuid4(), owner="alice", name=name)


async def test_many_is_a_list_of_any_length(database: Database) -> None:
    assert await database.run(Numbers(count=3)) == [1, 2, 3]
    assert await database.run(Numbers(count=0)) == []


async def test_one_is_exactly_one_row(database: Database) -> None:
    assert await database.run(OneNumber(count=1)) == 1
    for count, found in ((0, "no row"), (2, "more than one row")):
        with pytest.raises(RowCountError, match=f"OneNumber found {found}"):
            await database.run(OneNumber(count=count))


async def test_maybe_is_one_row_or_none(database: Database) -> None:
    assert await database.run(MaybeNumber(count=1)) == 1
    assert await database.run(MaybeNumber(count=0)) is None
    with pytest.raises(RowCountError, match="MaybeNumber found more than one row"):
        await database.run(MaybeNumber(count=2))


async def test_exec_is_the_number_of_rows_touched(database: Database) -> None:
    await database.run(new_project())

    assert await database.run(Touch(name="Storyboard")) == 1
    assert await database.run(Touch(name="Nothing")) == 0


def test_every_query_is_registered_by_its_full_name() -> None:
    assert query.QUERIES[f"{__name__}.Numbers"] is Numbers


async def test_a_violated_constraint_is_what_the_query_says(database: Database) -> None:
    await database.run(new_project())

    with pytest.raises(ProjectNameTaken):
        await database.run(new_project())


async def test_work_that_succeeds_is_kept(
    database: Database, unit_of_work: PostgresUnitOfWork, database_url: str
) -> None:
    async def work() -> int:
        await database.run(new_project("a"))
        await database.run(new_project("b"))
        assert ask(database_url, "SELECT count(*) FROM projects") == [(0,)], "not yet committed"
        return await database.run(CountProjects())

    assert await unit_of_work.run(work) == 2
    assert ask(database_url, "SELECT count(*) FROM projects") == [(2,)]


@pytest.mark.parametrize("error", [ValueError("bug"), Conflict(), SystemExit(1)])
async def test_work_that_raises_leaves_nothing(
    database: Database,
    unit_of_work: PostgresUnitOfWork,
    database_url: str,
    error: BaseException,
) -> None:
    async def work() -> None:
        await database.run(new_project())
        raise error

    with pytest.raises(type(error)):
        await unit_of_work.run(work)
    assert ask(database_url, "SELECT count(*) FROM projects") == [(0,)]


async def test_a_run_inside_a_run_joins_it(
    database: Database, unit_of_work: PostgresUnitOfWork, database_url: str
) -> None:
    async def inner() -> int:
        await database.run(new_project("inner"))
        return await database.run(Backend())

    async def outer() -> None:
        backend = await database.run(Backend())
        assert await unit_of_work.run(inner) == backend
        raise Conflict

    with pytest.raises(Conflict):
        await unit_of_work.run(outer)
    assert ask(database_url, "SELECT count(*) FROM projects") == [(0,)]


async def test_work_that_hides_a_failed_query_is_told_and_keeps_nothing(
    database: Database, unit_of_work: PostgresUnitOfWork, database_url: str
) -> None:
    await database.run(new_project("taken"))

    async def work() -> None:
        await database.run(new_project("b"))
        with suppress(ProjectNameTaken):
            await database.run(new_project("taken"))

    async def work_on() -> None:
        await work()
        await database.run(new_project("c"))

    for hiding in (work, work_on):
        with pytest.raises(ProjectNameTaken):
            await unit_of_work.run(hiding)
    assert ask(database_url, "SELECT name FROM projects") == [("taken",)]


async def test_a_bug_in_the_work_is_not_taken_for_bad_input(
    unit_of_work: PostgresUnitOfWork,
) -> None:
    async def work() -> None:
        "\ud800".encode()

    with pytest.raises(UnicodeEncodeError):
        await unit_of_work.run(work)


@pytest.mark.parametrize("text", ["a\x00b", "a\ud800b"])
async def test_text_that_postgresql_cannot_keep_is_invalid_input(
    database: Database, text: str
) -> None:
    with pytest.raises(InvalidInput):
        await database.run(Touch(name=text))


async def test_more_who_wait_than_is_sensible_are_refused_at_once(database_url: str) -> None:
    async with opened(
        database_url, pool_min_size=1, pool_max_size=1, pool_timeout=30
    ) as connections:
        database = Database(connections)
        sleeps = [database.run(Sleep(seconds=30)) for _ in range(1 + WAITING_PER_CONNECTION)]
        waiting = [asyncio.create_task(sleep) for sleep in sleeps]
        while connections.stats().waiting < WAITING_PER_CONNECTION:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

        with pytest.raises(Unavailable):
            await asyncio.wait_for(database.run(CountProjects()), 5)

        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_waiting_in_vain_for_a_connection_uses_up_no_place(database_url: str) -> None:
    async with opened(
        database_url, pool_min_size=1, pool_max_size=1, pool_timeout=0.05
    ) as connections:
        async with connections.lend("one module"):
            for _ in range(3):
                with pytest.raises(Unavailable):
                    async with connections.lend("another"):
                        pass

        async with connections.lend("another"):
            pass


async def test_what_the_schema_lacks_is_a_bug_unless_it_is_behind(
    database_url: str,
) -> None:
    class NoSuchTable(One[int]):
        sql = "SELECT count(*) FROM no_such_table"

    breaker = Breaker()
    async with opened(database_url, breaker) as connections:
        with pytest.raises(psycopg.errors.UndefinedTable):
            await Database(connections).run(NoSuchTable())
        breaker.schema_is_behind = True
        with pytest.raises(Unavailable):
            await Database(connections).run(NoSuchTable())


async def test_another_task_may_not_use_the_unit_of_work(
    database: Database, unit_of_work: PostgresUnitOfWork
) -> None:
    async def work() -> None:
        await asyncio.create_task(database.run(CountProjects()))

    with pytest.raises(RuntimeError, match="belongs to the task that began it"):
        await unit_of_work.run(work)


async def test_what_outlives_the_unit_of_work_may_not_use_it(
    database: Database, unit_of_work: PostgresUnitOfWork
) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def late() -> int:
        begun.set()
        await ended.wait()
        return await database.run(CountProjects())

    async def work() -> asyncio.Task[int]:
        task = asyncio.create_task(late())
        await begun.wait()
        return task

    task = await unit_of_work.run(work)
    ended.set()
    with pytest.raises(RuntimeError, match="has ended"):
        await task


async def test_work_that_clashes_is_repeated_whole(
    database: Database, unit_of_work: PostgresUnitOfWork, database_url: str
) -> None:
    for name in ("a", "b"):
        await database.run(new_project(name))
    attempts = 0
    both_hold_one = asyncio.Barrier(2)

    async def touch(first: str, second: str) -> None:
        tries = 0

        async def work() -> None:
            nonlocal attempts, tries
            attempts += 1
            tries += 1
            await database.run(Touch(name=first))
            if tries == 1:
                await both_hold_one.wait()
            await database.run(Touch(name=second))

        await unit_of_work.run(work)

    await asyncio.gather(touch("a", "b"), touch("b", "a"))

    assert attempts == 3, "one of the two is the deadlock's victim and runs again"
    assert ask(database_url, "SELECT version FROM projects") == [(3,), (3,)]


async def test_serializable_increments_of_many_clients_all_land(
    database: Database, unit_of_work: PostgresUnitOfWork, database_url: str
) -> None:
    """Each reads the number and writes the next one, which loses updates when not serializable."""
    project = await database.run(new_project("0"))

    async def increment() -> None:
        found = await database.run(FindProject(id=project.id, owner="alice"))
        assert found is not None
        await database.run(
            RenameProject(id=project.id, owner="alice", name=str(int(found.name) + 1))
        )

    async def client() -> None:
        for _ in range(20):
            await unit_of_work.run(increment, serializable=True)

    await asyncio.gather(*(client() for _ in range(4)))

    assert ask(database_url, "SELECT name, version FROM projects") == [("80", 81)]


async def test_pauses_between_attempts_are_spread_and_bounded(
    unit_of_work: PostgresUnitOfWork, pauses: list[float]
) -> None:
    async def work() -> None:
        raise Contended

    for _ in range(30):
        with pytest.raises(Contended):
            await unit_of_work.run(work)

    longest = pauses[8::9]
    assert all(0 <= pause <= BACKOFF_MAX_SECONDS for pause in pauses)
    assert min(longest) < BACKOFF_MAX_SECONDS / 3
    assert max(longest) > BACKOFF_MAX_SECONDS / 3 * 2
    assert max(pauses[::9]) <= 2 * BACKOFF_SECONDS


async def test_work_that_always_clashes_is_given_up(unit_of_work: PostgresUnitOfWork) -> None:
    attempts = 0

    async def work() -> None:
        nonlocal attempts
        attempts += 1
        raise Contended

    with pytest.raises(Contended):
        await unit_of_work.run(work)
    assert attempts == 10


async def test_a_deferred_constraint_speaks_at_the_commit(
    fresh_database_url: str,
) -> None:
    ask(
        fresh_database_url,
        "ALTER TABLE projects DROP CONSTRAINT projects_owner_name_key,"
        " ADD CONSTRAINT projects_owner_name_key UNIQUE (owner, name) DEFERRABLE"
        " INITIALLY DEFERRED",
    )
    async with opened(fresh_database_url) as connections:
        database = Database(connections)

        async def work() -> None:
            await database.run(new_project())
            await database.run(new_project())

        with pytest.raises(ProjectNameTaken):
            await PostgresUnitOfWork(connections).run(work)


async def test_an_exhausted_pool_is_unavailable_after_its_timeout(connections: Connections) -> None:
    database = Database(connections)
    busy = [asyncio.create_task(database.run(Sleep(seconds=2))) for _ in range(4)]
    await asyncio.sleep(0)

    with pytest.raises(Unavailable):
        await database.run(CountProjects())

    for task in busy:
        task.cancel()
    await asyncio.gather(*busy, return_exceptions=True)


async def test_a_statement_that_takes_too_long_is_ended(database_url: str) -> None:
    async with opened(database_url, statement_timeout=0.1) as connections:
        with pytest.raises(Unavailable):
            await Database(connections).run(Sleep(seconds=30))

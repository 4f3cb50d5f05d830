import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from platform_domain.identity import UserId
from platform_domain.projects import (
    ProjectId,
    ProjectMark,
    ProjectNameInvalid,
    ProjectNameTaken,
    ProjectNotFound,
    Projects,
)
from platform_infrastructure.postgres.database import Database
from platform_infrastructure.projects import PostgresProjects
from tests.fakes import InMemoryProjects
from tests.infrastructure.postgres.connections import opened

pytestmark = pytest.mark.anyio

ALICE, BOB = UserId("alice"), UserId("bob")


@pytest.fixture(params=["postgres", "memory"])
async def projects(request: pytest.FixtureRequest) -> AsyncIterator[Projects]:
    """The adapter, and the fake that stands for it elsewhere: they must not differ."""
    if request.param == "memory":
        yield InMemoryProjects()
        return
    async with opened(request.getfixturevalue("database_url")) as connections:
        yield PostgresProjects(Database(connections))


async def test_a_project_is_kept_as_it_was_created(projects: Projects) -> None:
    project = await projects.create("Storyboard", owner=ALICE)

    assert await projects.get(project.id, owner=ALICE) == project
    assert (project.name, project.owner, project.version) == ("Storyboard", ALICE, 1)
    assert project.created_at.utcoffset() is not None


async def test_a_name_is_unique_per_owner(projects: Projects) -> None:
    await projects.create("Storyboard", owner=ALICE)
    await projects.create("Storyboard", owner=BOB)

    with pytest.raises(ProjectNameTaken):
        await projects.create("Storyboard", owner=ALICE)


async def test_a_rename_raises_the_version(projects: Projects) -> None:
    project = await projects.create("Storyboard", owner=ALICE)

    renamed, changed = await projects.rename(project.id, "Film", owner=ALICE)

    assert changed
    assert (renamed.id, renamed.name, renamed.version) == (project.id, "Film", 2)
    assert await projects.get(project.id, owner=ALICE) == renamed


async def test_a_rename_to_the_same_name_changes_nothing(projects: Projects) -> None:
    project = await projects.create("Storyboard", owner=ALICE)

    assert await projects.rename(project.id, "Storyboard", owner=ALICE) == (project, False)

    assert await projects.get(project.id, owner=ALICE) == project


async def test_of_several_renames_to_one_name_at_a_time_one_changes_it(projects: Projects) -> None:
    project = await projects.create("Storyboard", owner=ALICE)

    renames = [projects.rename(project.id, "Film", owner=ALICE) for _ in range(5)]
    changes = [changed for _, changed in await asyncio.gather(*renames)]

    assert sorted(changes) == [False] * 4 + [True]
    assert (await projects.get(project.id, owner=ALICE)).version == 2


async def test_a_rename_to_a_name_that_is_taken_changes_nothing(projects: Projects) -> None:
    await projects.create("Film", owner=ALICE)
    project = await projects.create("Storyboard", owner=ALICE)

    with pytest.raises(ProjectNameTaken):
        await projects.rename(project.id, "Film", owner=ALICE)
    assert await projects.get(project.id, owner=ALICE) == project


async def test_others_cannot_see_rename_or_delete_it(projects: Projects) -> None:
    project = await projects.create("Storyboard", owner=ALICE)

    with pytest.raises(ProjectNotFound):
        await projects.get(project.id, owner=BOB)
    with pytest.raises(ProjectNotFound):
        await projects.rename(project.id, "Mine", owner=BOB)
    with pytest.raises(ProjectNotFound):
        await projects.delete(project.id, owner=BOB)
    assert await projects.list(owner=BOB, after=None, limit=10) == []
    assert await projects.get(project.id, owner=ALICE) == project


async def test_a_deleted_project_is_gone(projects: Projects) -> None:
    project = await projects.create("Storyboard", owner=ALICE)

    await projects.delete(project.id, owner=ALICE)

    with pytest.raises(ProjectNotFound):
        await projects.delete(project.id, owner=ALICE)


async def test_an_unknown_project_is_not_found(projects: Projects) -> None:
    with pytest.raises(ProjectNotFound):
        await projects.get(ProjectId(uuid4()), owner=ALICE)


async def test_pages_cover_the_list_once_while_it_grows(projects: Projects) -> None:
    old = [await projects.create(f"Old {number}", owner=ALICE) for number in range(5)]

    first = await projects.list(owner=ALICE, after=None, limit=2)
    await projects.create("New", owner=ALICE)
    second = await projects.list(owner=ALICE, after=ProjectMark.of(first[-1]), limit=10)

    assert [*first, *second] == old[::-1]


@pytest.mark.parametrize("name", ["", "   ", "x" * 101])
async def test_the_database_refuses_a_name_that_slipped_through(
    database_url: str, name: str
) -> None:
    async with opened(database_url) as connections:
        with pytest.raises(ProjectNameInvalid):
            await PostgresProjects(Database(connections)).create(name, owner=ALICE)

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID, uuid4

import httpx2
import pytest

from platform_api.features.projects import NewProject, ProjectPath, ProjectsFeature, RenameProject
from platform_api.paging import Cursor
from platform_domain.events import TopicName
from platform_domain.identity import Identity, UserId
from platform_domain.projects import (
    ProjectCreated,
    ProjectDeleted,
    ProjectId,
    ProjectMark,
    ProjectRenamed,
)
from platform_domain.unit_of_work import UnitOfWork
from tests.api.conftest import World
from tests.api.contract.cases import Cases
from tests.api.contract.documented import operations_in
from tests.api.shapes import assert_error
from tests.fakes import InMemoryProjects, RecordedEvents

pytestmark = pytest.mark.anyio

PROJECTS = "/api/v1/projects"
T = TypeVar("T")

PROJECT = f"{PROJECTS}/{{id}}"
BODY: dict[str, Any] = {"json": {"name": "Storyboard"}}
# Some of the characters that can be seen: neither white space nor ignorable.
VISIBLE = r"[!-~\u00a1-\u00ac\u00ae-\u02ff\u0370-\u05ff\u3041-\u3096\u4e00-\u9fff]"


def narrow(document: dict[str, Any]) -> None:
    """A cursor is opaque, but not any text; a name is stripped before it is measured."""
    mark = ProjectMark(datetime(2026, 1, 2, tzinfo=UTC), ProjectId(UUID(int=7)))
    parameters = operations_in(document)["projects_list"]["parameters"]
    (cursor,) = (parameter for parameter in parameters if parameter["name"] == "cursor")
    cursor["schema"] = {"enum": [Cursor(ProjectMark).encode(mark)]}
    for model in ("NewProject", "RenameProject"):
        document["components"]["schemas"][model]["properties"]["name"]["allOf"] = [
            {"pattern": VISIBLE}
        ]


CASES = Cases(
    port=lambda world: world.projects,
    right={
        "projects_create": ("POST", PROJECTS, BODY),
        "projects_list": ("GET", PROJECTS, {}),
        "projects_show": ("GET", PROJECT, {}),
        "projects_rename": ("PATCH", PROJECT, BODY),
        "projects_delete": ("DELETE", PROJECT, {}),
    },
    wrong=[
        ("projects_list", ("GET", PROJECTS, {"params": {"limit": "many"}})),
        ("projects_list", ("GET", PROJECTS, {"params": {"cursor": "nonsense"}})),
        ("projects_rename", ("PATCH", f"{PROJECTS}/7", BODY)),
        ("projects_rename", ("PATCH", PROJECT, BODY)),
        ("projects_show", ("GET", f"{PROJECTS}/7", {})),
        ("projects_show", ("GET", PROJECT, {})),
        ("projects_delete", ("DELETE", f"{PROJECTS}/7", {})),
        ("projects_delete", ("DELETE", PROJECT, {})),
    ],
    narrow=narrow,
)


class WatchedUnitOfWork(UnitOfWork):
    """Counts what was published while each unit ran."""

    def __init__(self, events: RecordedEvents) -> None:
        self._events = events
        self.published: list[int] = []

    async def run(self, work: Callable[[], Awaitable[T]], *, serializable: bool = False) -> T:
        before = len(self._events.published)
        result = await work()
        self.published.append(len(self._events.published) - before)
        return result


async def created(client: httpx2.AsyncClient, name: str) -> dict[str, Any]:
    response = await client.post(PROJECTS, json={"name": name})
    assert response.status_code == 201, response.text
    return dict(response.json())


async def test_a_created_project_can_be_read(client: httpx2.AsyncClient) -> None:
    project = await created(client, "Storyboard")

    response = await client.get(f"{PROJECTS}/{project['id']}")

    assert response.status_code == 200
    assert response.json() == project
    assert project["name"] == "Storyboard"
    assert project["version"] == 1


async def test_a_name_is_stored_without_the_spaces_around_it(client: httpx2.AsyncClient) -> None:
    assert (await created(client, "  Storyboard "))["name"] == "Storyboard"


async def test_a_name_can_be_taken_only_once_by_one_owner(client: httpx2.AsyncClient) -> None:
    await created(client, "Storyboard")

    again = await client.post(PROJECTS, json={"name": "Storyboard"})
    by_another = await client.post(
        PROJECTS, json={"name": "Storyboard"}, headers={"x-user-id": "bob"}
    )

    assert_error(again, 409, "project_name_taken")
    assert by_another.status_code == 201


async def test_a_renamed_project_has_a_new_version(client: httpx2.AsyncClient) -> None:
    project = await created(client, "Storyboard")

    response = await client.patch(f"{PROJECTS}/{project['id']}", json={"name": "Film"})

    assert response.status_code == 200
    assert response.json()["name"] == "Film"
    assert response.json()["version"] == 2


async def test_what_was_created_is_where_the_answer_says(client: httpx2.AsyncClient) -> None:
    key = {"idempotency-key": "k"}
    created, replayed = [
        await client.post(PROJECTS, json={"name": "Storyboard"}, headers=key) for _ in range(2)
    ]

    assert created.headers["location"] == f"{PROJECTS}/{created.json()['id']}"
    assert replayed.headers["idempotency-replayed"] == "true"
    assert replayed.headers["location"] == created.headers["location"]
    assert (await client.get(created.headers["location"])).json() == created.json()


@pytest.mark.parametrize("name", ["Storyboard", "  Storyboard "])
async def test_a_rename_to_the_same_name_is_no_change(
    client: httpx2.AsyncClient, world: World, name: str
) -> None:
    project = await created(client, "Storyboard")
    before = await world.bus.heads([TopicName("user:alice")])

    response = await client.patch(f"{PROJECTS}/{project['id']}", json={"name": name})

    assert response.status_code == 200
    assert response.json() == project
    assert await world.bus.heads([TopicName("user:alice")]) == before


async def test_a_deleted_project_is_gone(client: httpx2.AsyncClient) -> None:
    project = await created(client, "Storyboard")

    deleted = await client.delete(f"{PROJECTS}/{project['id']}")

    assert deleted.status_code == 204
    assert deleted.content == b""
    assert_error(await client.get(f"{PROJECTS}/{project['id']}"), 404, "project_not_found")
    assert_error(await client.delete(f"{PROJECTS}/{project['id']}"), 404, "project_not_found")


@pytest.mark.parametrize(
    ("method", "body"), [("GET", None), ("PATCH", {"name": "Mine"}), ("DELETE", None)]
)
async def test_another_users_project_is_not_found(
    client: httpx2.AsyncClient, method: str, body: dict[str, str] | None
) -> None:
    project = await created(client, "Storyboard")

    response = await client.request(
        method, f"{PROJECTS}/{project['id']}", json=body, headers={"x-user-id": "bob"}
    )

    assert_error(response, 404, "project_not_found")


async def test_the_list_is_walked_by_cursor_newest_first(client: httpx2.AsyncClient) -> None:
    names = [(await created(client, f"Project {number}"))["name"] for number in range(5)]

    found, cursor = [], None
    for _ in range(3):
        query = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = (await client.get(PROJECTS, params=query)).json()
        found += [item["name"] for item in page["items"]]
        cursor = page["next_cursor"]

    assert found == names[::-1]
    assert cursor is None


async def test_a_full_last_page_has_no_next_cursor(client: httpx2.AsyncClient) -> None:
    await created(client, "Only one")

    page = (await client.get(PROJECTS, params={"limit": "1"})).json()

    assert page["next_cursor"] is None


@pytest.mark.parametrize("limit", ["0", "101", "-1", "many", ""])
async def test_a_limit_outside_1_to_100_is_refused(client: httpx2.AsyncClient, limit: str) -> None:
    details = assert_error(
        await client.get(PROJECTS, params={"limit": limit}), 422, "validation_failed"
    )

    assert [fault["path"] for fault in details["errors"]] == ["/query/limit"]


@pytest.mark.parametrize("spoilt", ["!!!!{}", "{}\n\n\n\n", "{}%", "{}AAAA"])
async def test_a_cursor_that_was_tampered_with_is_refused(
    client: httpx2.AsyncClient, spoilt: str
) -> None:
    for name in ("One", "Two"):
        await created(client, name)
    cursor = (await client.get(PROJECTS, params={"limit": "1"})).json()["next_cursor"]

    response = await client.get(PROJECTS, params={"cursor": spoilt.format(cursor)})

    details = assert_error(response, 422, "validation_failed")
    assert [fault["path"] for fault in details["errors"]] == ["/query/cursor"]


async def test_a_cursor_that_is_too_long_is_not_even_decoded(client: httpx2.AsyncClient) -> None:
    response = await client.get(PROJECTS, params={"cursor": "A" * 1025})

    details = assert_error(response, 422, "validation_failed")
    assert [fault["code"] for fault in details["errors"]] == ["string_too_long"]


@pytest.mark.parametrize("cursor", ["nonsense", "e30", "%00", "é", "W10=="])
async def test_a_cursor_of_somebodys_own_making_is_refused(
    client: httpx2.AsyncClient, cursor: str
) -> None:
    details = assert_error(
        await client.get(PROJECTS, params={"cursor": cursor}), 422, "validation_failed"
    )

    assert details["errors"][0]["path"] == "/query/cursor"


@pytest.mark.parametrize("name", ["", "   ", "x" * 101, 7, None, ["a"]])
async def test_a_name_that_is_none_is_refused_without_repeating_it(
    client: httpx2.AsyncClient, world: World, name: object
) -> None:
    details = assert_error(
        await client.post(PROJECTS, json={"name": name}), 422, "validation_failed"
    )

    assert [fault["path"] for fault in details["errors"]] == ["/body/name"]
    assert set(details["errors"][0]) == {"path", "message", "code"}
    assert not world.projects.all


async def test_an_id_that_is_none_is_refused(client: httpx2.AsyncClient) -> None:
    details = assert_error(await client.get(f"{PROJECTS}/7"), 422, "validation_failed")

    assert details["errors"][0]["path"] == "/path/id"


@pytest.mark.parametrize("name", ["a\u0000b", "a\u001fb", "a\u0085b"])
async def test_a_name_has_no_control_characters(client: httpx2.AsyncClient, name: str) -> None:
    assert_error(await client.post(PROJECTS, json={"name": name}), 422, "validation_failed")


async def test_every_change_and_what_is_told_of_it_are_one_unit_of_work() -> None:
    projects, events = InMemoryProjects(), RecordedEvents()
    units = WatchedUnitOfWork(events)
    feature = ProjectsFeature(projects, units, events)
    alice = Identity(UserId("alice"))

    view = await feature.create(body=NewProject(name="a"), caller=alice)
    path = ProjectPath(id=view.id)
    await feature.rename(path=path, body=RenameProject(name="b"), caller=alice)
    await feature.delete(path=path, caller=alice)

    assert units.published == [1, 1, 1], "each publishes inside its own unit"
    assert [(topic, type(event)) for topic, event in events.published] == [
        ("user:alice", ProjectCreated),
        ("user:alice", ProjectRenamed),
        ("user:alice", ProjectDeleted),
    ]


async def test_an_unknown_id_is_not_found(client: httpx2.AsyncClient) -> None:
    assert_error(await client.get(f"{PROJECTS}/{uuid4()}"), 404, "project_not_found")

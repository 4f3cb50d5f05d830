"""What the application really answers is what its contract says."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import httpx2
import pytest

from platform_api.contract.errors import ALWAYS, WHEN_WRITING, WITH_INPUT, WITH_KEY
from platform_api.errors import BodyTimeout, InternalError, TooManyBodies, ValidationFailed
from platform_domain.errors import DomainError, Forbidden
from platform_domain.identity import Authenticator, Credentials, Identity
from platform_domain.projects import ProjectNameInvalid, ProjectNameTaken, ProjectNotFound
from tests.api.conftest import MAX_BODY_BYTES, World
from tests.api.contract.documented import assert_documented, operations_in

pytestmark = pytest.mark.anyio

PROJECTS = "/api/v1/projects"
PROJECT = f"{PROJECTS}/{UUID(int=7)}"
BODY: dict[str, Any] = {"json": {"name": "Storyboard"}}
RIGHT: dict[str, tuple[str, str, dict[str, Any]]] = {
    "projects_create": ("POST", PROJECTS, BODY),
    "projects_list": ("GET", PROJECTS, {}),
    "projects_show": ("GET", PROJECT, {}),
    "projects_rename": ("PATCH", PROJECT, BODY),
    "projects_delete": ("DELETE", PROJECT, {}),
}
"""A request for each operation that nothing is wrong with."""

WRITING = ("projects_create", "projects_rename", "projects_delete")
NAMING = ("projects_create", "projects_rename")
OF_ONE = ("projects_show", "projects_rename", "projects_delete")

RAISED_BY_PORTS: list[tuple[str, type[BaseException]]] = [
    *((id, RuntimeError) for id in RIGHT),
    *((id, kind) for id in RIGHT for kind in ALWAYS if kind is not InternalError),
    *((id, kind) for id in WRITING for kind in WHEN_WRITING),
    *((id, kind) for id in RIGHT for kind in WITH_INPUT if kind is not ValidationFailed),
    *((id, kind) for id in NAMING for kind in (ProjectNameTaken, ProjectNameInvalid)),
    *((id, ProjectNotFound) for id in OF_ONE),
    *((id, kind) for id in NAMING for kind in (BodyTimeout, TooManyBodies)),
    *(("projects_create", kind) for kind in WITH_KEY),
]

BAD_ID = f"{PROJECTS}/7"
WITH_A_SLASH = f"{PROJECTS}/a%2Fb"
TEXT: dict[str, Any] = {"content": b"name=a", "headers": {"content-type": "text/plain"}}
WITHOUT_TYPE: dict[str, Any] = {"content": b"{}"}
NO_NAME: dict[str, Any] = {"json": {"nam": "a"}}
TOO_LARGE: dict[str, Any] = {"json": {"name": "a" * MAX_BODY_BYTES}}
WRONG: list[tuple[str, str, str, dict[str, Any]]] = [
    ("projects_create", "POST", PROJECTS, NO_NAME),
    ("projects_create", "POST", PROJECTS, TEXT),
    ("projects_create", "POST", PROJECTS, WITHOUT_TYPE),
    ("projects_create", "POST", PROJECTS, TOO_LARGE),
    ("projects_create", "POST", PROJECTS, {**BODY, "headers": {"idempotency-key": "a b"}}),
    ("projects_list", "GET", PROJECTS, {"params": {"limit": "many"}}),
    ("projects_list", "GET", PROJECTS, {"params": {"cursor": "nonsense"}}),
    ("projects_rename", "PATCH", BAD_ID, NO_NAME),
    ("projects_rename", "PATCH", PROJECT, TEXT),
    ("projects_rename", "PATCH", PROJECT, TOO_LARGE),
    ("projects_rename", "PATCH", WITH_A_SLASH, BODY),
    ("projects_show", "GET", BAD_ID, {}),
    ("projects_show", "GET", WITH_A_SLASH, {}),
    ("projects_show", "GET", PROJECT, {}),
    ("projects_delete", "DELETE", BAD_ID, {}),
    ("projects_delete", "DELETE", WITH_A_SLASH, {}),
    ("projects_delete", "DELETE", PROJECT, {}),
]


class Refusing(Authenticator):
    async def authenticate(self, credentials: Credentials) -> Identity:
        raise Forbidden


async def document_of(world: World) -> dict[str, Any]:
    async with world.client() as client:
        return dict((await client.get("/api/v1/openapi.json")).json())


def raising(error: type[BaseException]) -> Callable[..., Awaitable[Any]]:
    async def port(*given: object, **named: object) -> Any:
        raise error

    return port


def break_ports(world: World, error: type[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
    for method in ("create", "get", "list", "rename", "delete"):
        monkeypatch.setattr(world.projects, method, raising(error))


async def test_every_operation_has_a_request_here(world: World) -> None:
    assert operations_in(await document_of(world)).keys() == RIGHT.keys()


async def test_a_success_that_is_repeated(world: World, client: httpx2.AsyncClient) -> None:
    for _ in range(2):
        answer = await client.post(PROJECTS, **BODY, headers={"idempotency-key": "k"})

    assert answer.headers["idempotency-replayed"] == "true"
    assert_documented(await document_of(world), "projects_create", answer)


async def test_successes(world: World, client: httpx2.AsyncClient) -> None:
    document = await document_of(world)

    created = await client.post(PROJECTS, **BODY)
    project = f"{PROJECTS}/{created.json()['id']}"
    answers = {
        "projects_create": created,
        "projects_list": await client.get(PROJECTS),
        "projects_show": await client.get(project),
        "projects_rename": await client.patch(project, **BODY),
        "projects_delete": await client.delete(project),
    }

    assert all(answer.is_success for answer in answers.values())
    for id, answer in answers.items():
        assert_documented(document, id, answer)


@pytest.mark.parametrize(("id", "error"), RAISED_BY_PORTS)
async def test_failures_of_ports(
    world: World, monkeypatch: pytest.MonkeyPatch, id: str, error: type[BaseException]
) -> None:
    break_ports(world, error, monkeypatch)
    method, path, rest = RIGHT[id]

    async with world.client() as client:
        response = await client.request(method, path, **rest)

    expected = error.code if issubclass(error, DomainError) else "internal_error"
    assert response.json()["code"] == expected
    assert_documented(await document_of(world), id, response)


@pytest.mark.parametrize(("id", "method", "path", "rest"), WRONG)
async def test_wrong_requests(
    world: World,
    client: httpx2.AsyncClient,
    id: str,
    method: str,
    path: str,
    rest: dict[str, Any],
) -> None:
    response = await client.request(method, path, **rest)

    assert response.is_client_error
    assert_documented(await document_of(world), id, response)


@pytest.mark.parametrize("id", RIGHT)
async def test_callers_who_are_unknown_or_not_allowed(world: World, id: str) -> None:
    method, path, rest = RIGHT[id]
    document = await document_of(world)

    async with world.client() as client:
        del client.headers["x-user-id"]
        unknown = await client.request(method, path, **rest)
    world.authenticator = Refusing()
    async with world.client() as client:
        refused = await client.request(method, path, **rest)

    assert (unknown.status_code, refused.status_code) == (401, 403)
    assert_documented(document, id, unknown)
    assert_documented(document, id, refused)


async def test_every_code_that_is_promised_was_provoked_above(world: World) -> None:
    """Else the contract would name errors that nobody ever sees."""
    raised = {kind.code for _, kind in RAISED_BY_PORTS if issubclass(kind, DomainError)}
    by_requests = {
        "internal_error",
        "payload_too_large",
        "route_not_found",
        "unsupported_media_type",
        "validation_failed",
    }

    schemas = (await document_of(world))["components"]["schemas"]

    promised = {
        schema["properties"]["code"]["const"]
        for schema in schemas.values()
        if "const" in schema.get("properties", {}).get("code", {})
    }
    assert promised == raised | by_requests


@pytest.mark.parametrize("lie", ["status", "code", "details", "header"])
async def test_a_contract_that_lies_is_noticed(
    world: World, client: httpx2.AsyncClient, lie: str
) -> None:
    document = await document_of(world)
    response = await client.post(PROJECTS, **TOO_LARGE)
    assert_documented(document, "projects_create", response)

    components = document["components"]
    match lie:
        case "status":
            del operations_in(document)["projects_create"]["responses"]["413"]
        case "code":
            components["schemas"]["PayloadTooLarge"]["properties"]["code"]["const"] = "other"
        case "details":
            components["schemas"]["SizeLimit"]["required"] += ["unit"]
        case "header":
            components["responses"]["PayloadTooLarge"]["headers"]["Warning"] = {"required": True}

    with pytest.raises((AssertionError, ValueError)):
        assert_documented(document, "projects_create", response)

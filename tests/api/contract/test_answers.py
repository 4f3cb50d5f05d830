"""What the application really answers is what its contract says."""

import inspect
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any
from uuid import UUID

import httpx2
import pytest

from platform_api.contract.errors import ALWAYS, WHEN_WRITING, WITH_INPUT, WITH_KEY
from platform_api.contract.operations import described
from platform_api.errors import BodyTimeout, InternalError, TooManyBodies
from platform_domain.errors import DomainError, Forbidden
from platform_domain.identity import Authenticator, Credentials, Identity
from tests.api.conftest import MAX_BODY_BYTES, World
from tests.api.contract.cases import Cases, Request, all_cases
from tests.api.contract.documented import assert_documented, codes_of, operations_in

pytestmark = pytest.mark.anyio

PROJECTS = "/api/v1/projects"
BODY: dict[str, Any] = {"json": {"name": "Storyboard"}}
CASES = all_cases()
RIGHT = {id: request for cases in CASES for id, request in cases.right.items()}
OPERATIONS = {each.id: each for each in described(World().features)}
MISSING = str(UUID(int=7))
"""Takes the place of `{id}` where there is nothing yet."""


def raised_by_ports() -> Iterator[tuple[str, type[BaseException]]]:
    for id, each in OPERATIONS.items():
        yield id, RuntimeError
        yield from ((id, kind) for kind in ALWAYS if kind is not InternalError)
        yield from ((id, kind) for kind in each.operation.errors)
        signature = each.signature
        if each.operation.method != "GET":
            yield from ((id, kind) for kind in WHEN_WRITING)
        if signature.path or signature.query or signature.body:
            yield from ((id, kind) for kind in WITH_INPUT)
        if signature.body:
            yield from ((id, kind) for kind in (BodyTimeout, TooManyBodies))
        if each.operation.idempotent:
            yield from ((id, kind) for kind in WITH_KEY)


TEXT: dict[str, Any] = {"content": b"name=a", "headers": {"content-type": "text/plain"}}
WITHOUT_TYPE: dict[str, Any] = {"content": b"{}"}
UNKNOWN_FIELD: dict[str, Any] = {"json": {"no_such_field": "a"}}
TOO_LARGE: dict[str, Any] = {"json": {"name": "a" * MAX_BODY_BYTES}}
UNKNOWN_PARAMETER: dict[str, Any] = {"params": {"no_such_parameter": "a"}}
BAD_KEY: dict[str, Any] = {"headers": {"idempotency-key": "a b"}}


def wrong_requests() -> Iterator[tuple[str, Request]]:
    for id, each in OPERATIONS.items():
        method, path, rest = RIGHT.get(id, ("GET", "", {}))
        yield id, (method, path, rest | UNKNOWN_PARAMETER)
        if each.signature.body:
            for body in (UNKNOWN_FIELD, TEXT, WITHOUT_TYPE, TOO_LARGE):
                yield id, (method, path, body)
        if each.operation.idempotent:
            yield id, (method, path, rest | BAD_KEY)
        if each.signature.path:
            yield id, (method, path.replace("{id}", "a%2Fb"), rest)
    for cases in CASES:
        yield from cases.wrong


RAISED_BY_PORTS = list(raised_by_ports())


class Refusing(Authenticator):
    async def authenticate(self, credentials: Credentials) -> Identity:
        raise Forbidden


PUBLISHED: list[bytes] = []


async def document_of(world: World) -> dict[str, Any]:
    """Return a copy of what is published. All worlds of this module publish the same."""
    if not PUBLISHED:
        async with world.client() as client:
            PUBLISHED.append((await client.get("/api/v1/openapi.json")).content)
    return dict(json.loads(PUBLISHED[0]))


def raising(error: type[BaseException]) -> Callable[..., Awaitable[Any]]:
    async def port(*given: object, **named: object) -> Any:
        raise error

    return port


def break_ports(world: World, error: type[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
    for port in (cases.port(world) for cases in CASES):
        for name, _ in inspect.getmembers(port, inspect.iscoroutinefunction):
            monkeypatch.setattr(port, name, raising(error))


async def ask(client: httpx2.AsyncClient, request: Request, id: str = MISSING) -> httpx2.Response:
    method, path, rest = request
    return await client.request(method, path.replace("{id}", id), **rest)


async def test_every_operation_has_a_request(world: World) -> None:
    """It is in `CASES` of the test module of its feature, in tests/api/features."""
    assert operations_in(await document_of(world)).keys() == RIGHT.keys()


async def test_a_success_that_is_repeated(world: World, client: httpx2.AsyncClient) -> None:
    for _ in range(2):
        answer = await client.post(PROJECTS, **BODY, headers={"idempotency-key": "k"})

    assert answer.headers["idempotency-replayed"] == "true"
    assert_documented(await document_of(world), "projects_create", answer)


@pytest.mark.parametrize("cases", CASES)
async def test_successes(world: World, client: httpx2.AsyncClient, cases: Cases) -> None:
    document, resource = await document_of(world), MISSING

    for id, request in cases.right.items():
        answer = await ask(client, request, resource)
        assert answer.is_success
        assert_documented(document, id, answer)
        if answer.content:
            resource = answer.json().get("id", resource)


@pytest.mark.parametrize(("id", "error"), RAISED_BY_PORTS)
async def test_failures_of_ports(
    world: World, monkeypatch: pytest.MonkeyPatch, id: str, error: type[BaseException]
) -> None:
    break_ports(world, error, monkeypatch)

    async with world.client() as client:
        response = await ask(client, RIGHT[id])

    expected = error.code if issubclass(error, DomainError) else "internal_error"
    assert response.json()["code"] == expected
    assert_documented(await document_of(world), id, response)


@pytest.mark.parametrize(("id", "request_"), [*wrong_requests()])
async def test_wrong_requests(
    world: World, client: httpx2.AsyncClient, id: str, request_: Request
) -> None:
    response = await ask(client, request_)

    assert response.is_client_error
    assert_documented(await document_of(world), id, response)


@pytest.mark.parametrize("id", RIGHT)
async def test_callers_who_are_unknown_or_not_allowed(world: World, id: str) -> None:
    document = await document_of(world)

    async with world.client() as client:
        del client.headers["x-user-id"]
        unknown = await ask(client, RIGHT[id])
    world.authenticator = Refusing()
    async with world.client() as client:
        refused = await ask(client, RIGHT[id])

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

    operations = operations_in(await document_of(world)).values()

    promised = {
        code
        for o in operations
        for response in o["responses"].values()
        for code in codes_of(response)
    }
    assert promised == raised | by_requests


@pytest.mark.parametrize("lie", ["status", "code", "details", "header"])
async def test_a_contract_that_lies_is_noticed(
    world: World, client: httpx2.AsyncClient, lie: str
) -> None:
    document = await document_of(world)
    response = await client.post(PROJECTS, **TOO_LARGE)
    assert_documented(document, "projects_create", response)

    responses = operations_in(document)["projects_create"]["responses"]
    match lie:
        case "status":
            del responses["413"]
        case "code":
            schema = responses["413"]["content"]["application/json"]["schema"]
            schema["properties"]["code"]["enum"] = ["other"]
        case "details":
            document["components"]["schemas"]["SizeLimit"]["required"] += ["unit"]
        case "header":
            responses["413"]["headers"]["Warning"] = {"required": True}

    with pytest.raises((AssertionError, ValueError)):
        assert_documented(document, "projects_create", response)

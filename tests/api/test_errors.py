"""The one error shape, seen from outside."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx2
import pytest
from loguru import logger

from platform_api.errors import STATUS, error_body, status_of
from platform_api.operation import Operation
from platform_api.schema import Input, Output
from platform_domain.errors import DomainError, InvalidInput, TooManyRequests, Unavailable
from tests.api.conftest import ALLOWED_ORIGIN, MAX_BODY_BYTES, World
from tests.api.shapes import assert_error

pytestmark = pytest.mark.anyio


class Thing(Output):
    size: int


class NewThing(Input):
    size: int


def raising(error: BaseException) -> Callable[[], Awaitable[Thing]]:
    async def handler() -> Thing:
        raise error

    return handler


async def answer_to(world: World, error: BaseException) -> httpx2.Response:
    world.trial.given = [Operation("GET", "/trial", raising(error))]
    async with world.client() as client:
        return await client.get("/api/v1/trial", headers={"origin": ALLOWED_ORIGIN})


@pytest.fixture
def log() -> Any:
    lines: list[Any] = []
    sink = logger.add(lambda message: lines.append(message.record), level="DEBUG")
    yield lines
    logger.remove(sink)


async def test_an_unknown_address(client: httpx2.AsyncClient) -> None:
    for path in (
        "/",
        "/api/v1",
        "/api/v1/",
        "/api/v1/nothing",
        "/api/v2/projects",
        "/x/api/v1/projects",
    ):
        assert_error(await client.get(path), 404, "route_not_found")


async def test_a_trailing_slash_is_another_address(client: httpx2.AsyncClient) -> None:
    assert_error(await client.get("/api/v1/projects/"), 404, "route_not_found")


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1%2Fprojects",
        "/api%2fv1/projects",
        "/api/v1/projects%2F00000000-0000-4000-8000-000000000000",
        "/api/v1%2Fws",
        "/api/v1%2Fopenapi.json",
        "/docs%2Fstart.js",
        "/health%2Flive",
    ],
)
async def test_an_encoded_slash_divides_nothing(client: httpx2.AsyncClient, path: str) -> None:
    assert_error(await client.get(path), 404, "route_not_found")


async def test_letters_may_be_encoded(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/api/v1/%70rojects?cursor=%2F")).status_code == 422
    assert (await client.get("/api/v1/%70rojects?user=%2F")).status_code == 200


async def test_a_method_the_address_does_not_take_names_all_it_takes(
    client: httpx2.AsyncClient,
) -> None:
    response = await client.delete("/api/v1/projects")

    assert_error(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "GET, HEAD, POST"


async def test_head_is_answered_as_get(client: httpx2.AsyncClient) -> None:
    assert (await client.head("/api/v1/projects")).status_code == 200


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "",
        "application/x-www-form-urlencoded",
        "+json",
        "application/+json",
        "application/json/x",
        "application/json, text/plain",
        "application/jsonp",
        "json",
        "application/json; charset=latin-1",
        "application/json; charset=utf-16",
        'application/json; charset=""',
        "application/json; charset=",
        "application/json; charset=utf-8; charset=utf-8",
        "application/json; charset=utf-8; Charset=latin-1",
        'application/json; charset="utf-8',
        "application/json; charset = utf-8",
        "application/json; profile",
        "application/json profile=a",
    ],
)
async def test_a_body_that_is_not_json_by_its_type(
    client: httpx2.AsyncClient, content_type: str
) -> None:
    response = await client.post(
        "/api/v1/projects", content=b'{"name":"a"}', headers={"content-type": content_type}
    )

    assert_error(response, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json;charset=UTF-8",
        "Application/JSON",
        "application/json;charset=utf-8;",
        "application/json;;charset=utf8 ; ",
        'application/json; CHARSET="UTF-8"',
        r'application/json; charset="\u\tf-8"',
        "application/json; profile=a",
        'application/json; profile="https://example.org/a;charset=latin-1"; charset=utf-8',
        r'application/json; profile="a\"; charset=latin-1"',
        "application/json; x-charset=latin-1",
        "application/merge-patch+json",
        "application/vnd.api+json; version=1",
    ],
)
async def test_json_by_another_spelling_is_taken(
    client: httpx2.AsyncClient, content_type: str
) -> None:
    response = await client.post(
        "/api/v1/projects", content=b'{"name":"a"}', headers={"content-type": content_type}
    )

    assert response.status_code == 201


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'{"name":"a","name2":"b"}',
        b'{"name":"\xff"}',
        b'{"name":' + b"[" * 400 + b"]" * 400 + b"}",
        b'{"name":' + b"9" * 500 + b"}",
    ],
)
async def test_a_body_that_does_not_fit(client: httpx2.AsyncClient, body: bytes) -> None:
    response = await client.post(
        "/api/v1/projects", content=body, headers={"content-type": "application/json"}
    )

    details = assert_error(response, 422, "validation_failed")
    assert all(set(fault) == {"path", "message", "code"} for fault in details["errors"])


async def test_all_faults_of_all_places_come_at_once(client: httpx2.AsyncClient) -> None:
    response = await client.patch("/api/v1/projects/7", json={"nam": "a"})

    details = assert_error(response, 422, "validation_failed")
    assert sorted(fault["path"] for fault in details["errors"]) == [
        "/body/nam",
        "/body/name",
        "/path/id",
    ]


async def test_a_value_sent_is_never_repeated(client: httpx2.AsyncClient) -> None:
    response = await client.post("/api/v1/projects", json={"name": ["hunter2"]})

    assert_error(response, 422, "validation_failed")
    assert "hunter2" not in response.text


async def test_a_body_too_large_by_its_length(client: httpx2.AsyncClient) -> None:
    response = await client.post("/api/v1/projects", json={"name": "a" * MAX_BODY_BYTES})

    assert assert_error(response, 413, "payload_too_large") == {"max_bytes": MAX_BODY_BYTES}


async def test_a_body_too_large_that_never_said_so(client: httpx2.AsyncClient) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b" " * (MAX_BODY_BYTES // 2)

    response = await client.post(
        "/api/v1/projects", content=chunks(), headers={"content-type": "application/json"}
    )

    assert_error(response, 413, "payload_too_large")


async def test_a_body_just_within_the_ceiling_is_read(client: httpx2.AsyncClient) -> None:
    body = json.dumps({"name": "a"}).ljust(MAX_BODY_BYTES).encode()

    response = await client.post(
        "/api/v1/projects", content=body, headers={"content-type": "application/json"}
    )

    assert response.status_code == 201


async def test_a_caller_nobody_knows(world: World) -> None:
    async with world.client() as client:
        del client.headers["x-user-id"]
        response = await client.get("/api/v1/projects")

    assert_error(response, 401, "unauthenticated")
    assert response.headers["www-authenticate"] == "Bearer"


async def test_an_operation_that_does_not_ask_for_the_caller_is_not_public(world: World) -> None:
    async def handler() -> Thing:
        return Thing(size=1)

    world.trial.given = [Operation("GET", "/trial", handler)]
    async with world.client() as client:
        del client.headers["x-user-id"]
        assert_error(await client.get("/api/v1/trial"), 401, "unauthenticated")


@pytest.mark.parametrize("error", [Unavailable(retry_after=7), TooManyRequests(retry_after=7)])
async def test_come_back_later_says_when(world: World, error: DomainError) -> None:
    response = await answer_to(world, error)

    assert_error(response, STATUS[type(error)], error.code)
    assert response.headers["retry-after"] == "7"


async def test_details_of_any_type_can_be_said(world: World) -> None:
    response = await answer_to(world, InvalidInput(odd={"an": object()}, many={1, 2}))

    assert_error(response, 422, "invalid_input")


class Bug(BaseException):
    pass


@pytest.mark.parametrize(
    "error",
    [
        ValueError("secret detail"),
        SystemExit("secret detail"),
        KeyboardInterrupt("secret detail"),
        Bug("secret detail"),
        ExceptionGroup("secret detail", [ValueError("secret detail"), KeyError("secret detail")]),
        RecursionError("secret detail"),
        asyncio.CancelledError("secret detail"),
    ],
)
async def test_a_bug_is_a_clean_500_and_one_whole_trace(
    world: World, log: list[Any], error: BaseException
) -> None:
    response = await answer_to(world, error)

    details = assert_error(response, 500, "internal_error")
    assert details == {"request_id": response.headers["x-request-id"]}
    assert "secret detail" not in response.text
    assert response.headers["access-control-allow-origin"] == ALLOWED_ORIGIN
    bugs = [record for record in log if record["level"].name == "ERROR"]
    assert len(bugs) == 1
    assert bugs[0]["exception"].value is error
    assert bugs[0]["extra"]["request_id"] == response.headers["x-request-id"]


async def test_details_that_json_cannot_hold_are_left_out(world: World) -> None:
    response = await answer_to(world, InvalidInput("No such name.", name="\ud800"))

    assert_error(response, 422, "invalid_input")


async def test_a_body_of_nothing_but_faults_gets_a_short_answer(
    world: World, client: httpx2.AsyncClient
) -> None:
    response = await client.post("/api/v1/projects", json={str(n): n for n in range(120)})

    details = assert_error(response, 422, "validation_failed")
    assert len(details["errors"]) == 50


async def test_a_domain_error_alone_in_a_group_keeps_its_meaning(world: World) -> None:
    group = ExceptionGroup("tasks", [InvalidInput("No such size.")])

    response = await answer_to(world, group)

    assert_error(response, 422, "invalid_input")
    assert response.json()["error"] == "No such size."


async def test_an_error_of_the_domain_is_no_bug(world: World, log: list[Any]) -> None:
    await answer_to(world, InvalidInput())

    assert [record["level"].name for record in log] == ["INFO"]


def all_errors(kind: type[DomainError] = DomainError) -> list[type[DomainError]]:
    below = [error for child in kind.__subclasses__() for error in all_errors(child)]
    return [*kind.__subclasses__(), *below]


def test_every_error_has_a_status_of_the_table_and_one_code() -> None:
    errors = {error for error in all_errors() if error.__module__.startswith("platform_")}

    by_code = {error.code: error for error in errors}
    sharing = [error for error in errors if by_code[error.code] is not error]
    assert not sharing, "these have the code of another error"
    assert all(status_of(error) in STATUS.values() for error in errors)
    assert all(error.message.endswith(".") for error in errors)


def test_a_kind_that_is_not_in_the_table_is_our_fault() -> None:
    class Odd(DomainError):
        code = "odd"
        message = "Odd."

    assert status_of(Odd) == 500
    assert json.loads(error_body(Odd())) == {"error": "Odd.", "code": "odd"}

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from platform_api.authenticators import AnonymousAuthenticator
from platform_api.declaration import DeclarationInvalid
from platform_api.idempotency import Once
from platform_api.operation import Endpoint, Operation
from platform_api.paging import Page
from platform_api.router import Api
from platform_api.schema import Input, Output, Parameters
from platform_domain.identity import Identity, UserId
from tests.api.conftest import World
from tests.api.shapes import assert_error, assert_names_the_place
from tests.fakes import ImmediateUnitOfWork, InMemoryIdempotencyKeys


class ThingPath(Parameters):
    id: int


class NewThing(Input):
    size: int


class Thing(Output):
    size: int


async def good(*, path: ThingPath, body: NewThing, caller: Identity) -> Thing:
    return Thing(size=body.size)


async def positional(path: ThingPath) -> Thing:
    return Thing(size=1)


async def unknown_parameter(*, request: Thing) -> Thing:
    return Thing(size=1)


async def untyped(*, body) -> Thing:  # type: ignore[no-untyped-def]
    return Thing(size=1)


async def plain_body(*, body: dict[str, int]) -> Thing:
    return Thing(size=1)


async def entity_body(*, body: Thing) -> Thing:
    return body


async def input_query(*, query: NewThing) -> Thing:
    return Thing(size=query.size)


async def unresolved() -> "Missing":  # type: ignore[name-defined]  # noqa: F821
    return Thing(size=1)


async def wrong_caller(*, caller: str) -> Thing:
    return Thing(size=1)


async def silent(*, body: NewThing):  # type: ignore[no-untyped-def]
    return Thing(size=1)


async def nothing() -> None: ...


def sync() -> Any:
    return Thing(size=1)


@dataclass(frozen=True, slots=True)
class Entity:
    size: int
    owner: str


class OtherThing(Output):
    weight: int


class Box(Output):
    inside: Entity | None


class BoxOfBoxes(Output):
    boxes: dict[str, list[Box]]


def answering(answer: Any) -> Callable[[], Awaitable[Any]]:
    async def handler() -> Any: ...

    handler.__annotations__["return"] = answer
    return handler


NO_ANSWERS: list[Any] = [
    Entity,
    list[Entity],
    dict[str, Thing],
    str,
    Any,
    Thing | None,
    Thing | Entity,
    NewThing,
    Response,
    StreamingResponse,
]
WITH_ENTITY: list[Any] = [Page[Entity], Box, list[Box], BoxOfBoxes]
BAD_PATHS = [
    "",
    "things",
    "/",
    "//things",
    "/things/",
    "/{id}",
    "/things?a=1",
    "/a b",
    "/a/{id",
    "/ü",
]


async def default_path(*, path: ThingPath = ThingPath(id=1)) -> Thing:  # noqa: B008
    return Thing(size=path.id)


async def default_query(*, query: ThingPath = ThingPath(id=1)) -> Thing:  # noqa: B008
    return Thing(size=query.id)


async def default_body(*, body: NewThing = NewThing(size=1)) -> Thing:  # noqa: B008
    return Thing(size=body.size)


async def default_caller(*, caller: Identity = Identity(UserId("a"))) -> Thing:  # noqa: B008
    return Thing(size=1)


DEFAULT: list[tuple[str, Callable[..., Awaitable[Thing]]]] = [
    ("path", default_path),
    ("query", default_query),
    ("body", default_body),
    ("caller", default_caller),
]


async def reads() -> Thing:
    return Thing(size=1)


async def no_socket(scope: Scope, receive: Receive, send: Send) -> None: ...


async def several() -> list[Thing]:
    return []


class OtherPath(Parameters):
    other: int


async def by_id(*, path: ThingPath) -> Thing:
    return Thing(size=path.id)


async def by_other(*, path: OtherPath) -> Thing:
    return Thing(size=path.other)


async def with_body(*, body: NewThing) -> Thing:
    return Thing(size=body.size)


ONCE = Once(InMemoryIdempotencyKeys(), ImmediateUnitOfWork())

BAD: list[tuple[Operation, str]] = [
    (Operation("GET", "/things/{id}", positional), "keyword-only"),
    (Operation("POST", "/things", unknown_parameter), "'request' must be one of"),
    (Operation("POST", "/things", untyped), "'body' has no type"),
    (Operation("POST", "/things", plain_body), "'body' must be of type Input"),
    (Operation("POST", "/things", entity_body), "'body' must be of type Input"),
    (Operation("GET", "/things", input_query), "'query' must be of type Parameters"),
    (Operation("POST", "/things", wrong_caller), "'caller' must be of type Identity"),
    (Operation("GET", "/things", unresolved), "a type cannot be resolved: name 'Missing'"),
    (Operation("POST", "/things", silent), "must say what it returns"),
    (Operation("POST", "/things", nothing), "status 204 and the return type None"),
    (Operation("POST", "/things", reads, status=204), "status 204 and the return type None"),
    (Operation("GET", "/things", with_body), "GET takes no body"),
    (Operation("GET", "/things", reads, max_body=9), "max_body is for operations that take a body"),
    (Operation("GET", "/things", reads, idempotent=True), "needs no key"),
    (Operation("GET", "/things/{id}", reads), "the path has ['id'], the model []"),
    (Operation("GET", "/things/{id:uuuid}", by_id), "Unknown path convertor 'uuuid'"),
    (Operation("GET", "/things/{id}/{id}", by_id), "Duplicated param name id"),
    (Operation("POST", "/things", reads, status=201), "status 201 and `location` go together"),
    (Operation("POST", "/things", reads, location="/a"), "status 201 and `location` go together"),
    (Operation("GET", "/things", reads, location="/a"), "status 201 and `location` go together"),
    (Operation("POST", "/a", reads, 201, "/a/{id}"), "neither answer nor path has the ['id']"),
    (
        Operation("POST", "/a", several, 201, "/a/{size}"),
        "neither answer nor path has the ['size']",
    ),
    (Operation("GET", "/things", sync), "must be `async def`"),
    (Operation("GET", "/things", reads, status=404), "404 is no status of a success"),
    *(
        (Operation("GET", "/things", h), f"parameter {n!r} must have no default")
        for n, h in DEFAULT
    ),
    *((Operation("GET", path, reads), "a path is /name") for path in BAD_PATHS),
    *((Operation("GET", "/things", answering(t)), "must be an Output") for t in NO_ANSWERS),
    *((Operation("GET", "/things", answering(t)), "contains Entity") for t in WITH_ENTITY),
]


@pytest.mark.parametrize(("operation", "complaint"), BAD)
def test_a_bad_declaration_fails_at_start_up(operation: Operation, complaint: str) -> None:
    with pytest.raises(DeclarationInvalid, match=re.escape(complaint)) as caught:
        Endpoint(operation, AnonymousAuthenticator(), ONCE)

    assert_names_the_place(caught.value, operation.handler)


@pytest.mark.parametrize("answer", [Thing, list[Thing], Page[Thing], Thing | OtherThing])
def test_models_of_answers_may_be_combined(answer: Any) -> None:
    endpoint = Endpoint(
        Operation("GET", "/things", answering(answer)), AnonymousAuthenticator(), ONCE
    )

    assert endpoint.signature.answer == answer


@pytest.mark.anyio
async def test_an_entity_returned_in_place_of_the_declared_answer_is_not_sent(
    world: World,
) -> None:
    async def careless() -> Thing:
        return Entity(1, "alice")  # type: ignore[return-value]

    async def careless_list() -> list[Thing]:
        return [Entity(1, "alice")]  # type: ignore[list-item]

    world.trial.given = [
        Operation("GET", "/things", careless),
        Operation("GET", "/thing-lists", careless_list),
    ]
    async with world.client() as client:
        for path in ("things", "thing-lists"):
            answer = await client.get(f"/api/v1/{path}")

            assert_error(answer, 500, "internal_error")
            assert "alice" not in answer.text


def test_an_operation_in_place_of_the_websocket_fails_at_start_up() -> None:
    with pytest.raises(DeclarationInvalid, match="/ws belongs to the WebSocket"):
        routed("/ws", handlers=(reads,))


def test_a_good_declaration_is_read_from_the_handler() -> None:
    signature = Endpoint(
        Operation("PUT", "/things/{id}", good), AnonymousAuthenticator(), ONCE
    ).signature

    assert (signature.path, signature.query, signature.body) == (ThingPath, None, NewThing)
    assert signature.caller
    assert signature.answer is Thing


def routed(*paths: str, handlers: tuple[Callable[..., Any], ...]) -> Api:
    endpoints = [
        Endpoint(Operation("GET", path, handler), AnonymousAuthenticator(), ONCE)
        for path, handler in zip(paths, handlers, strict=True)
    ]
    return Api(endpoints, realtime=no_socket)


def test_two_spellings_of_one_path_fail_at_start_up() -> None:
    with pytest.raises(DeclarationInvalid, match="are one path"):
        routed("/things/{id}", "/things/{other}", handlers=(by_id, by_other))


@pytest.mark.anyio
async def test_a_literal_path_is_met_before_a_parameter_whatever_the_order() -> None:
    api = routed("/things/{id}", "/things/latest", handlers=(by_id, reads))
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=api), base_url="http://test"
    ) as client:
        assert (await client.get("/api/v1/things/latest")).json() == {"size": 1}
        assert (await client.get("/api/v1/things/7")).json() == {"size": 7}


def test_a_location_that_no_get_shows_fails_at_start_up() -> None:
    create = Operation("POST", "/things", reads, status=201, location="/things/{size}")

    with pytest.raises(DeclarationInvalid, match=re.escape("no GET /things/{size}")) as caught:
        Api([Endpoint(create, AnonymousAuthenticator(), ONCE)], realtime=no_socket)

    assert_names_the_place(caught.value, reads)


class Part(Output):
    name: str


class PartPath(Parameters):
    id: int
    name: str


async def add_part(*, path: ThingPath) -> Part:
    return Part(name="left/rear ü")


async def show_part(*, path: PartPath) -> Part:
    return Part(name=path.name)


@pytest.mark.anyio
async def test_a_location_is_made_of_the_answer_and_the_path(world: World) -> None:
    world.trial.given = [
        Operation(
            "POST",
            "/things/{id:int}/parts",
            add_part,
            status=201,
            location="/things/{id:int}/parts/{name}",
        ),
        Operation("GET", "/things/{id:int}/parts/{name}", show_part),
    ]
    async with world.client() as client:
        created = await client.post("/api/v1/things/7/parts")

    assert created.headers["location"] == "/api/v1/things/7/parts/left%2Frear%20%C3%BC"


def test_two_operations_of_one_method_and_path_fail_at_start_up() -> None:
    def endpoint(handler: Callable[..., Any]) -> Endpoint:
        return Endpoint(Operation("GET", "/things", handler), AnonymousAuthenticator(), ONCE)

    with pytest.raises(DeclarationInvalid, match="GET /things is declared twice"):
        Api([endpoint(reads), endpoint(reads)], realtime=no_socket)

import re
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from starlette.types import Receive, Scope, Send

from platform_api.authenticators import AnonymousAuthenticator
from platform_api.idempotency import Once
from platform_api.operation import Endpoint, Operation, OperationInvalid
from platform_api.router import Api
from platform_api.schema import Input, Output, Parameters
from platform_domain.identity import Identity
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


async def wrong_caller(*, caller: str) -> Thing:
    return Thing(size=1)


async def silent(*, body: NewThing):  # type: ignore[no-untyped-def]
    return Thing(size=1)


async def nothing() -> None: ...


async def reads() -> Thing:
    return Thing(size=1)


async def no_socket(scope: Scope, receive: Receive, send: Send) -> None: ...


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
    (Operation("POST", "/things", plain_body), "'body' must be a pydantic model"),
    (Operation("POST", "/things", wrong_caller), "'caller' must be an Identity"),
    (Operation("POST", "/things", silent), "must say what it returns"),
    (Operation("POST", "/things", nothing), "status 204 and the return type None"),
    (Operation("POST", "/things", reads, status=204), "status 204 and the return type None"),
    (Operation("GET", "/things", with_body), "GET takes no body"),
    (Operation("GET", "/things", reads, max_body=9), "max_body is for operations that take a body"),
    (Operation("GET", "/things", reads, idempotent=True), "needs no key"),
    (Operation("GET", "/things/{id}", reads), "the path has ['id'], the model []"),
]


@pytest.mark.parametrize(("operation", "complaint"), BAD)
def test_a_bad_declaration_fails_at_start_up(operation: Operation, complaint: str) -> None:
    with pytest.raises(OperationInvalid, match=re.escape(complaint)):
        Endpoint(operation, AnonymousAuthenticator(), ONCE)


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
    with pytest.raises(OperationInvalid, match="are one path"):
        routed("/things/{id}", "/things/{other}", handlers=(by_id, by_other))


@pytest.mark.anyio
async def test_a_literal_path_is_met_before_a_parameter_whatever_the_order() -> None:
    api = routed("/things/{id}", "/things/latest", handlers=(by_id, reads))
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=api), base_url="http://test"
    ) as client:
        assert (await client.get("/api/v1/things/latest")).json() == {"size": 1}
        assert (await client.get("/api/v1/things/7")).json() == {"size": 7}


def test_two_operations_of_one_method_and_path_fail_at_start_up() -> None:
    def endpoint(handler: Callable[..., Any]) -> Endpoint:
        return Endpoint(Operation("GET", "/things", handler), AnonymousAuthenticator(), ONCE)

    with pytest.raises(OperationInvalid, match="GET /things is declared twice"):
        Api([endpoint(reads), endpoint(reads)], realtime=no_socket)

import re
from collections.abc import Callable
from typing import Any

import pytest

from platform_api.authenticators import AnonymousAuthenticator
from platform_api.operation import Endpoint, Operation, OperationInvalid
from platform_api.router import Api
from platform_api.schema import Input, Output, Parameters
from platform_domain.identity import Identity


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


async def with_body(*, body: NewThing) -> Thing:
    return Thing(size=body.size)


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
    (Operation("GET", "/things/{id}", reads), "the path has ['id'], the model []"),
]


@pytest.mark.parametrize(("operation", "complaint"), BAD)
def test_a_bad_declaration_fails_at_start_up(operation: Operation, complaint: str) -> None:
    with pytest.raises(OperationInvalid, match=re.escape(complaint)):
        Endpoint(operation, AnonymousAuthenticator())


def test_a_good_declaration_is_read_from_the_handler() -> None:
    signature = Endpoint(Operation("PUT", "/things/{id}", good), AnonymousAuthenticator()).signature

    assert (signature.path, signature.query, signature.body) == (ThingPath, None, NewThing)
    assert signature.caller
    assert signature.answer is Thing


def test_two_operations_of_one_method_and_path_fail_at_start_up() -> None:
    def endpoint(handler: Callable[..., Any]) -> Endpoint:
        return Endpoint(Operation("GET", "/things", handler), AnonymousAuthenticator())

    with pytest.raises(OperationInvalid, match="GET /things is declared twice"):
        Api([endpoint(reads), endpoint(reads)])

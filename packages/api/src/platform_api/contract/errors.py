"""Which errors an operation may answer with, and what the contract says of each."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, Field

from platform_api.contract.schemas import Schemas, Types, reference, without_null
from platform_api.declaration import DeclarationInvalid
from platform_api.errors import (
    BodyTimeout,
    DeadlineExceeded,
    ErrorBody,
    HeaderRepeated,
    HostNotAllowed,
    InternalError,
    Overloaded,
    PayloadTooLarge,
    RouteNotFound,
    ShuttingDown,
    TooManyBodies,
    UnsupportedMediaType,
    ValidationFailed,
    status_of,
)
from platform_api.operation import Operation, Signature
from platform_api.schema import Output
from platform_domain.errors import (
    Conflict,
    Contended,
    DomainError,
    Forbidden,
    InvalidInput,
    OutcomeUnknown,
    ReferenceInvalid,
    StillInUse,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
)
from platform_domain.idempotency import IdempotencyKeyInUse, IdempotencyKeyReused

Kind = type[DomainError]

ALWAYS: Sequence[Kind] = (
    HeaderRepeated,
    HostNotAllowed,
    Unauthenticated,
    Forbidden,
    InternalError,
    Unavailable,
    ShuttingDown,
    Overloaded,
    DeadlineExceeded,
)
WHEN_WRITING: Sequence[Kind] = (
    Conflict,
    StillInUse,
    ReferenceInvalid,
    Contended,
    OutcomeUnknown,
)
WITH_PATH: Sequence[Kind] = (RouteNotFound,)  # A parameter with a slash in it is another path.
WITH_INPUT: Sequence[Kind] = (InvalidInput,)
WITH_KEY: Sequence[Kind] = (IdempotencyKeyInUse, IdempotencyKeyReused)
WITH_BODY: Sequence[Kind] = (BodyTimeout, PayloadTooLarge, UnsupportedMediaType, TooManyBodies)


class Fault(Output):
    """One value that is not valid. It is never repeated here."""

    path: str = Field(description="JSON pointer (RFC 6901) such as `/body/name`.")
    message: str
    code: str = Field(description="What is wrong, for programs, such as `string_too_long`.")


class Faults(Output):
    """All values that are not valid, from all parts of the request."""

    errors: list[Fault] = Field(min_length=1)


class SizeLimit(Output):
    max_bytes: int


class Incident(Output):
    request_id: str = Field(description="To be quoted to an admin; also in X-Request-ID.")


DETAILS: Mapping[Kind, type[BaseModel]] = {
    ValidationFailed: Faults,
    PayloadTooLarge: SizeLimit,
    InternalError: Incident,
}
"""What `details` holds where it always holds the same."""

BODY = "Error"
TYPES: Types = {
    BODY: (ErrorBody, "serialization"),
    **{kind.__name__: (details, "serialization") for kind, details in DETAILS.items()},
}
"""The types behind the schemas of this module."""


def errors_of(operation: Operation, signature: Signature) -> list[Kind]:
    """Return all kinds the operation may answer with, its own first, without repetition."""
    return list(dict.fromkeys((*operation.errors, *_platforms_own(operation, signature))))


def _platforms_own(operation: Operation, signature: Signature) -> Iterator[Kind]:
    yield from ALWAYS
    if operation.method != "GET":
        yield from WHEN_WRITING
    if signature.path:
        yield from WITH_PATH
    yield ValidationFailed  # Without any input too: each query parameter is one too many then.
    if signature.path or signature.query or signature.header or signature.body:
        yield from WITH_INPUT
    if signature.header:
        yield from WITH_KEY
    if signature.body:
        yield from WITH_BODY


def by_status(kinds: Iterable[Kind]) -> dict[HTTPStatus, list[Kind]]:
    found: dict[HTTPStatus, list[Kind]] = defaultdict(list)
    for kind in kinds:
        found[status_of(kind)].append(kind)
    return dict(sorted(found.items()))


def by_name(kinds: Iterable[Kind]) -> dict[str, Kind]:
    """Return each kind once. Raises `DeclarationInvalid` when two have one name."""
    found: dict[str, Kind] = {}
    for kind in kinds:
        if found.setdefault(kind.__name__, kind) is not kind:
            raise DeclarationInvalid(f"Two errors are called {kind.__name__}: rename one")
    return found


def response_name(kinds: Sequence[Kind]) -> str:
    """Return the name of the response that is one of `kinds`, all of one status."""
    return "Or".join(kind.__name__ for kind in kinds)


def response_schema(kinds: Sequence[Kind]) -> dict[str, Any]:
    """Return the schema of an error that is one of `kinds`."""
    choices = [reference(kind.__name__) for kind in kinds]
    return choices[0] if len(choices) == 1 else {"oneOf": choices}


def response_description(kinds: Sequence[Kind]) -> str:
    """Return what each of `kinds` says, in Markdown."""
    return "\n\n".join(f"`{kind.code}`: {kind.message}" for kind in kinds)


def header_names(kinds: Sequence[Kind]) -> list[str]:
    """Return the headers that an answer of these kinds has of its own."""
    if all(issubclass(kind, Unavailable | TooManyRequests) for kind in kinds):
        return ["Retry-After"]
    if all(issubclass(kind, Unauthenticated) for kind in kinds):
        return ["WWW-Authenticate"]
    return []


def body_schema(schemas: Schemas) -> dict[str, Any]:
    """Return the schema of the shape that all errors share."""
    body = schemas.resolved(BODY)
    properties = {name: without_null(value) for name, value in body["properties"].items()}
    return body | {"properties": properties}


def kind_schema(kind: Kind, schemas: Schemas) -> dict[str, Any]:
    """Return the schema of one kind: the shared shape, narrowed to its code and details."""
    properties: dict[str, Any] = {
        "code": {"type": "string", "const": kind.code},
        "error": {"type": "string", "examples": [kind.message]},
    }
    if kind in DETAILS:
        properties["details"] = schemas[kind.__name__]
    return {
        "type": "object",
        "allOf": [reference(BODY)],
        "properties": properties,
        "required": sorted(properties),
    }

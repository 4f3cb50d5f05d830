"""The errors an operation may answer with, and the responses that describe them."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, Field

from platform_api.contract.schemas import Schemas, Types, reference, without_null
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


class ValidationErrorItem(Output):
    """One value that is not valid. The value itself is never repeated."""

    path: str = Field(
        description="JSON pointer (RFC 6901) such as `/body/name`.", examples=["/body/name"]
    )
    message: str = Field(examples=["String should have at most 80 characters"])
    code: str = Field(
        description="The rule that failed, for programs.", examples=["string_too_long"]
    )


class ValidationErrors(Output):
    """All values that are not valid, from all parts of the request."""

    errors: list[ValidationErrorItem] = Field(min_length=1)


class SizeLimit(Output):
    max_bytes: int = Field(examples=[1_048_576])


class Incident(Output):
    request_id: str = Field(
        description="Quote it to an admin; also in X-Request-ID.",
        examples=["4bf92f3577b34da6a3ce929d0e0e4736"],
    )


DETAILS: Mapping[Kind, type[BaseModel]] = {
    ValidationFailed: ValidationErrors,
    PayloadTooLarge: SizeLimit,
    InternalError: Incident,
}
"""What `details` holds where it always holds the same."""

ERROR = "Error"
TYPES: Types = {
    ERROR: (ErrorBody, "serialization"),
    **{kind.__name__: (details, "serialization") for kind, details in DETAILS.items()},
}
"""The types behind the schemas of this module."""

OTHER = {
    "description": "Any other failure.",
    "content": {"application/json": {"schema": reference(ERROR)}},
}


def headers(*own: str) -> dict[str, Any]:
    """Return references to the headers of a response: the common ones and its own."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in ("X-Request-ID", *own)}


def errors_of(operation: Operation, signature: Signature) -> list[Kind]:
    """Return all kinds the operation may answer with, its own first, without repetition."""
    return list(dict.fromkeys((*operation.errors, *_platforms_own(operation, signature))))


def _platforms_own(operation: Operation, signature: Signature) -> Iterator[Kind]:
    yield from ALWAYS
    if operation.method != "GET":
        yield from WHEN_WRITING
    if signature.path:
        yield from WITH_PATH
    yield ValidationFailed  # Also without input: any query parameter is then unknown.
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


def failures(kinds: Sequence[Kind], schemas: Schemas) -> dict[str, Any]:
    """Return the OpenAPI responses by status, each with its codes, an example for each code, and
    the shape of any other error."""
    statuses = {
        str(int(status)): _response(of_status, schemas)
        for status, of_status in by_status(kinds).items()
    }
    return statuses | {"default": OTHER}


def error_schema(schemas: Schemas) -> dict[str, Any]:
    """Return the schema that all errors share."""
    body = schemas.resolved(ERROR)
    properties = {name: without_null(value) for name, value in body["properties"].items()}
    return body | {"properties": properties}


def _response(kinds: Sequence[Kind], schemas: Schemas) -> dict[str, Any]:
    return {
        "description": "\n\n".join(f"`{kind.code}`: {kind.message}" for kind in kinds),
        "headers": headers(*_header_names(kinds)),
        "content": {
            "application/json": {
                "schema": _schema(kinds, schemas),
                "examples": {kind.code: {"value": _example(kind, schemas)} for kind in kinds},
            }
        },
    }


def _schema(kinds: Sequence[Kind], schemas: Schemas) -> dict[str, Any]:
    """Separate the codes whose `details` have a fixed shape, so that clients can narrow types."""
    plain = [kind.code for kind in kinds if kind not in DETAILS]
    choices = [_error(plain)] if plain else []
    choices += [
        _error([kind.code], details=schemas[kind.__name__]) for kind in kinds if kind in DETAILS
    ]
    return choices[0] if len(choices) == 1 else {"oneOf": choices}


def _error(codes: Sequence[str], *, details: Mapping[str, Any] | None = None) -> dict[str, Any]:
    properties = {
        "error": {"type": "string"},
        "code": {"type": "string", "enum": list(codes)},
        "details": details or {"type": "object", "additionalProperties": True},
    }
    required = sorted(properties) if details else ["code", "error"]
    return {"type": "object", "properties": properties, "required": required}


def _example(kind: Kind, schemas: Schemas) -> dict[str, Any]:
    example = {"error": kind.message, "code": kind.code}
    return (
        example | {"details": schemas.example(schemas[kind.__name__])}
        if kind in DETAILS
        else example
    )


def _header_names(kinds: Sequence[Kind]) -> list[str]:
    """Return the headers that an answer of these kinds has of its own."""
    if all(issubclass(kind, Unavailable | TooManyRequests) for kind in kinds):
        return ["Retry-After"]
    if all(issubclass(kind, Unauthenticated) for kind in kinds):
        return ["WWW-Authenticate"]
    return []

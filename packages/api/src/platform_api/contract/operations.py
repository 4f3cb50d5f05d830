"""One operation in the contract: what it takes and what it answers."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from starlette.routing import compile_path

from platform_api.contract.errors import errors_of, failures, headers
from platform_api.contract.schemas import Schemas, Types, without_null
from platform_api.declaration import DeclarationInvalid
from platform_api.feature import Feature
from platform_api.idempotency import REPLAYED
from platform_api.operation import PREFIX, Operation, Signature

ABOVE = ("description", "deprecated")


@dataclass(frozen=True, slots=True)
class Described:
    """An operation, the name of its feature, and the types of its handler."""

    feature: str
    operation: Operation
    signature: Signature

    @property
    def id(self) -> str:
        """`feature_handler`, by which clients name their functions: it outlives a new path."""
        return f"{self.feature}_{self.operation.handler.__name__}".replace("-", "_")

    @property
    def path(self) -> str:
        return PREFIX + compile_path(self.operation.path)[1]

    @property
    def types(self) -> Types:
        """Return the types by the keys under which `operation_object` looks for their schemas."""
        signature = self.signature
        parts = {part: getattr(signature, part) for part in ("path", "query", "header", "body")}
        types: Types = {f"{self.id} {part}": (t, "validation") for part, t in parts.items() if t}
        if signature.answer is None:
            return types
        return {**types, f"{self.id} answer": (signature.answer, "serialization")}


def described(features: Sequence[Feature]) -> list[Described]:
    """Read all operations. Raises `DeclarationInvalid` when two have the same id."""
    by_id: dict[str, Described] = {}
    for feature, operation in ((f, o) for f in features for o in f.operations()):
        new = Described(feature.name, operation, Signature.of(operation))
        known = by_id.setdefault(new.id, new).operation
        if known is not operation:
            raise DeclarationInvalid(
                f"{known.method} {known.path} and {operation.method} {operation.path} have one id,"
                f" {new.id}: give each a handler of its own name"
            )
    return list(by_id.values())


def operation_object(described: Described, schemas: Schemas) -> dict[str, Any]:
    """Return the OpenAPI operation object."""
    summary, _, description = (inspect.getdoc(described.operation.handler) or "").partition("\n\n")
    summary = " ".join(summary.split())
    optional = {
        "summary": summary.removesuffix("."),
        "description": description or summary,
        "parameters": [
            *_parameters("path", described, schemas),
            *_parameters("query", described, schemas),
            *_parameters("header", described, schemas),
        ],
        "requestBody": _request_body(described, schemas),
    }
    return {
        "operationId": described.id,
        "tags": [described.feature],
        **{name: value for name, value in optional.items() if value},
        "responses": _success(described, schemas)
        | failures(errors_of(described.operation, described.signature), schemas),
    }


def _parameters(place: str, described: Described, schemas: Schemas) -> Iterator[dict[str, Any]]:
    if getattr(described.signature, place) is None:
        return
    model = schemas.resolved(f"{described.id} {place}")
    for name, field in model["properties"].items():
        schema = without_null(field)
        required = name in model.get("required", ())
        shown = name.title() if place == "header" else name
        parameter = {"name": shown, "in": place, "required": required, "schema": schema}
        # Tools look for these beside the schema.
        yield parameter | {key: schema.pop(key) for key in ABOVE if key in schema}


def _request_body(described: Described, schemas: Schemas) -> dict[str, Any]:
    if described.signature.body is None:
        return {}
    return {"required": True, "content": _content(schemas[f"{described.id} body"], schemas)}


def _success(described: Described, schemas: Schemas) -> dict[str, Any]:
    status = HTTPStatus(described.operation.status)
    has = {REPLAYED: described.operation.idempotent, "Location": described.operation.location}
    own = [name for name, is_sent in has.items() if is_sent]
    success = {"description": status.phrase, "headers": headers(*own)}
    if described.signature.answer is not None:
        success["content"] = _content(schemas[f"{described.id} answer"], schemas)
    return {str(int(status)): success}


def _content(schema: Mapping[str, Any], schemas: Schemas) -> dict[str, Any]:
    return {"application/json": {"schema": schema, "example": schemas.example(dict(schema))}}

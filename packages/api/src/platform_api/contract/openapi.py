"""The OpenAPI document: what the declared operations take and answer, and all messages."""

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from platform_api.contract import errors
from platform_api.contract.operations import (
    Described,
    content,
    described,
    headers,
    operation_object,
)
from platform_api.contract.schemas import Schemas, Types
from platform_api.declaration import DeclarationInvalid
from platform_api.idempotency import REPLAYED
from platform_api.operation import Operation

DESCRIPTION = """\
Every answer that is neither 2xx nor 3xx is an `Error`. Its `code` is stable and for programs; its
`error` is a sentence that a user may read."""

HEADERS: Mapping[str, Any] = {
    "X-Request-ID": {
        "description": "Names this request in the log; your own, if you sent a well-formed one.",
        "required": True,
        "schema": {"type": "string", "pattern": r"^[A-Za-z0-9_.\-]{1,64}$"},
    },
    "Retry-After": {
        "description": "Seconds to wait before the next attempt.",
        "required": True,
        "schema": {"type": "integer", "minimum": 0},
    },
    REPLAYED: {
        "description": "Sent with an answer that was kept: an earlier request had the same key.",
        "required": False,
        "schema": {"type": "string", "const": "true"},
    },
    "Location": {
        "description": "The path of what was created.",
        "required": True,
        "schema": {"type": "string", "format": "uri-reference"},
    },
    "WWW-Authenticate": {
        "description": "How to say who you are.",
        "required": True,
        "schema": {"type": "string"},
    },
}

SECURITY_SCHEMES: Mapping[str, Any] = {
    "development": {
        "type": "apiKey",
        "in": "header",
        "name": "X-User-Id",
        "description": "Any name, such as `alice`. Believed in development only; elsewhere the "
        "authenticator of the deployment decides what to send.",
    }
}


def openapi(
    operations: Sequence[Operation], client_message: Any = None, server_message: Any = None
) -> dict[str, Any]:
    """Return the document.

    `client_message` and `server_message` are the types (unions, as a rule) of all that may be
    said over a WebSocket; they stand in `components.schemas`, for OpenAPI knows no WebSocket.
    Raises `DeclarationInvalid` when two operations have one id or two schemas one name.
    """
    all_described = described(operations)
    messages = _messages(client_message, server_message)
    of_operations = {key: type_ for each in all_described for key, type_ in each.types.items()}
    schemas = Schemas({**errors.TYPES, **of_operations, **messages})
    paths = _paths(all_described, schemas)
    failures = [kinds for each in all_described for kinds in each.errors.values()]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Platform",
            "version": version("platform-api"),
            "description": DESCRIPTION,
        },
        "tags": [{"name": name} for name in dict.fromkeys(each.feature for each in all_described)],
        "security": [{name: []} for name in SECURITY_SCHEMES],
        "paths": paths,
        "components": {
            "schemas": _all_schemas(schemas, failures, messages, paths),
            "responses": _error_responses(failures),
            "headers": HEADERS,
            "securitySchemes": SECURITY_SCHEMES,
        },
    }


def as_text(document: Mapping[str, Any]) -> str:
    """Return the document as it is committed: sorted, so that a difference is a change."""
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _messages(client_message: Any, server_message: Any) -> Types:
    messages: Types = {
        "ClientMessage": (client_message, "validation"),
        "ServerMessage": (server_message, "serialization"),
    }
    return {name: typed for name, typed in messages.items() if typed[0] is not None}


def _paths(all_described: Sequence[Described], schemas: Schemas) -> dict[str, dict[str, Any]]:
    paths: dict[str, dict[str, Any]] = {}
    for each in all_described:
        methods = paths.setdefault(each.path, {})
        methods[each.operation.method.lower()] = operation_object(each, schemas)
    return paths


def _all_schemas(
    schemas: Schemas, failures: Sequence[Sequence[errors.Kind]], messages: Types, paths: object
) -> dict[str, Any]:
    kinds = errors.by_name(kind for of_status in failures for kind in of_status)
    own = {
        errors.BODY: errors.body_schema(schemas),
        **{name: errors.kind_schema(kind, schemas) for name, kind in kinds.items()},
        **{name: schemas[name] for name in messages},
    }
    if shared := sorted(own.keys() & schemas.models.keys()):
        raise DeclarationInvalid(f"Models need other names than errors: {', '.join(shared)}")
    return dict(sorted((own | schemas.reached_from([paths, own])).items()))


def _error_responses(failures: Sequence[Sequence[errors.Kind]]) -> dict[str, Any]:
    return {
        errors.response_name(kinds): {
            "description": errors.response_description(kinds),
            "headers": headers(*errors.header_names(kinds)),
            "content": content(errors.response_schema(kinds)),
        }
        for kinds in failures
    }

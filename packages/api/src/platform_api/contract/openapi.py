"""The OpenAPI document: what the declared operations take and answer, and all messages."""

import inspect
import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from platform_api.contract import errors
from platform_api.contract.operations import Described, described, operation_object
from platform_api.contract.schemas import Schemas, Types, reference
from platform_api.declaration import DeclarationInvalid
from platform_api.feature import Feature
from platform_api.idempotency import REPLAYED

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

SOCKET_TAG = {"name": "socket", "description": "Events and messages over a WebSocket."}

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
    features: Sequence[Feature], client_message: Any = None, server_message: Any = None
) -> dict[str, Any]:
    """Return the document.

    `client_message` and `server_message` are the types (usually unions) of the WebSocket messages.
    They appear in `components.schemas` and in the webhook `socket`. Raises `DeclarationInvalid`
    when two operations have the same id or two schemas have the same name.
    """
    all_described = described(features)
    messages = _messages(client_message, server_message)
    of_operations = {key: type_ for each in all_described for key, type_ in each.types.items()}
    schemas = Schemas({**errors.TYPES, **of_operations, **messages})
    paths = _paths(all_described, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Platform",
            "version": version("platform-api"),
            "description": DESCRIPTION,
            "contact": {"name": "The operators of this deployment"},
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/", "description": "The server that published this document."}],
        "tags": [*_tags(features), *([SOCKET_TAG] if messages else [])],
        "security": [{name: []} for name in SECURITY_SCHEMES],
        "paths": paths,
        **({"webhooks": _frames()} if messages else {}),
        "components": {
            "schemas": _all_schemas(schemas, messages, paths),
            "headers": HEADERS,
            "securitySchemes": SECURITY_SCHEMES,
        },
    }


def _frames() -> dict[str, Any]:
    """Return the messages of the WebSocket as a webhook: what the server sends without a request,
    and what the client may send at any time. OpenAPI has no other place for them."""
    return {
        "socket": {
            "post": {
                "operationId": "socket_frames",
                "tags": [SOCKET_TAG["name"]],
                "summary": "Text frames of the WebSocket",
                "description": "The request is a frame of the server, the response one of the"
                " client; neither answers the other.",
                "requestBody": {"content": _json(reference("ServerMessage"))},
                "responses": {
                    "200": {
                        "description": "A frame of the client.",
                        "content": _json(reference("ClientMessage")),
                    }
                },
            }
        }
    }


def _json(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


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


def _tags(features: Sequence[Feature]) -> list[dict[str, str]]:
    return [
        {"name": feature.name, "description": inspect.getdoc(type(feature)) or feature.name}
        for feature in features
        if feature.operations()
    ]


def _all_schemas(schemas: Schemas, messages: Types, paths: object) -> dict[str, Any]:
    own = {
        errors.ERROR: errors.error_schema(schemas),
        **{name: schemas[name] for name in messages},
    }
    if shared := sorted(own.keys() & schemas.models.keys()):
        raise DeclarationInvalid(f"These names are taken: {', '.join(shared)}")
    return dict(sorted((own | schemas.reached_from([paths, own])).items()))

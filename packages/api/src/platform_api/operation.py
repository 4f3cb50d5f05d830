"""One thing the API can do: declared by a feature, read once at start-up, then served.

The handler is a bound method of the feature. Its keyword parameters `path`, `query`, `body` and
`caller` and its return annotation are the types; each may be left out, apart from the answer's.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from itertools import islice
from typing import Any, Literal, get_args, get_origin
from urllib.parse import quote

import orjson
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import compile_path
from starlette.types import Scope

from platform_api.declaration import DeclarationInvalid, check_answer, is_class, place_of, types_of
from platform_api.errors import UnsupportedMediaType, ValidationFailed
from platform_api.idempotency import IdempotencyHeader, Once, keyed
from platform_api.json_reader import JsonReader
from platform_api.media_type import is_json
from platform_api.middleware.body_ceiling import allow_body
from platform_api.middleware.deadline import allow_time
from platform_api.schema import MAX_FAULTS, Input, Parameters, faults
from platform_domain.errors import DomainError
from platform_domain.idempotency import KeyedRequest
from platform_domain.identity import Authenticator, Credentials, Identity

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
Handler = Callable[..., Awaitable[Any]]

PREFIX = "/api/v1"
PARAMETERS = {"path": Parameters, "query": Parameters, "body": Input, "caller": Identity}
"""What a handler may take, and of which type."""
# Two parameters in one segment, or across segments, would take quadratic time to match.
PATH = re.compile(
    r"/[\w-]+(?:/(?:[\w.~-]*\{\w+(?::(?!path\})\w+)?\}[\w.~-]*|[\w.~-]+))*(?:/\{\w+:path\})?",
    re.ASCII,
)
WITHOUT_BODY = {"GET", "DELETE"}


@dataclass(frozen=True, slots=True)
class Operation:
    """What a feature declares. `path` is below the API's prefix, e.g. `/projects/{id}`."""

    method: Method
    path: str
    handler: Handler
    status: int = HTTPStatus.OK
    location: str | None = None
    """For a POST with status 201: the path that a GET shows the new resource at, e.g.
    `/projects/{id}`. Its parameters are filled with fields of the answer, else of the path."""
    errors: Sequence[type[DomainError]] = ()
    timeout: float | None = None
    """Seconds, in place of `HTTP_REQUEST_TIMEOUT`."""
    max_body: int | None = None
    """Bytes, in place of `HTTP_MAX_BODY_BYTES`."""
    idempotent: bool = False
    """Whether a client may send an `Idempotency-Key`. The handler then runs inside a unit of work,
    so it must do nothing but call ports, and none of its own units may be `serializable`."""


@dataclass(frozen=True, slots=True)
class Signature:
    """The types a handler takes and gives. `answer` is None for an answer without a body.

    `header` is ours alone: no handler sees it.
    """

    path: type[BaseModel] | None
    query: type[BaseModel] | None
    header: type[IdempotencyHeader] | None
    body: type[BaseModel] | None
    caller: bool
    answer: Any

    @classmethod
    def of(cls, operation: Operation) -> "Signature":
        """Read the handler. Raises `DeclarationInvalid` if it cannot be served."""
        where = f"{operation.method} {operation.path} ({place_of(operation.handler)})"
        types = types_of(operation.handler, where, PARAMETERS)
        _check(operation, where, types)
        return cls(
            types.get("path"),
            types.get("query"),
            IdempotencyHeader if operation.idempotent else None,
            types.get("body"),
            "caller" in types,
            None if types["return"] is type(None) else types["return"],
        )


def _check(operation: Operation, where: str, types: Mapping[str, Any]) -> None:
    if (types["return"] is type(None)) != (operation.status == HTTPStatus.NO_CONTENT):
        raise DeclarationInvalid(f"{where}: status 204 and the return type None go together")
    if types["return"] is not type(None):
        check_answer(types["return"], where)
    if not 200 <= operation.status < 300:
        raise DeclarationInvalid(f"{where}: {operation.status} is no status of a success")
    if "body" in types and operation.method in WITHOUT_BODY:
        raise DeclarationInvalid(f"{where}: {operation.method} takes no body")
    if operation.max_body is not None and "body" not in types:
        raise DeclarationInvalid(f"{where}: max_body is for operations that take a body")
    if operation.idempotent and operation.method == "GET":
        raise DeclarationInvalid(f"{where}: a GET changes nothing, so it needs no key")
    _check_path(where, operation.path, types.get("path"))
    _check_location(where, operation, types["return"])


def _check_location(where: str, operation: Operation, answer: Any) -> None:
    creates = operation.method == "POST" and operation.status == HTTPStatus.CREATED
    if creates != (operation.location is not None):
        raise DeclarationInvalid(f"{where}: a POST with status 201 and `location` go together")
    if operation.location is None:
        return
    fields = set(answer.model_fields) if is_class(answer, BaseModel) else set()
    known = fields | compile_path(operation.path)[2].keys()
    if unknown := compile_path(operation.location)[2].keys() - known:
        raise DeclarationInvalid(
            f"{where}: neither answer nor path has the {sorted(unknown)} of `location`"
        )


def _check_path(where: str, path: str, model: type[BaseModel] | None) -> None:
    if not PATH.fullmatch(path):
        raise DeclarationInvalid(
            f"{where}: a path is /name, then any number of /name or /{{parameter}}, and"
            " /{parameter:path} only at its end"
        )
    try:
        in_path = set(compile_path(path)[2])
    except (AssertionError, ValueError) as error:  # An unknown converter, a name used twice.
        raise DeclarationInvalid(f"{where}: {error}") from error
    in_model = set(model.model_fields) if model else set()
    if in_path != in_model:
        raise DeclarationInvalid(
            f"{where}: the path has {sorted(in_path)}, the model {sorted(in_model)}"
        )


class Endpoint:
    """Serves one operation: who asks, what they sent, the handler, its answer."""

    def __init__(self, operation: Operation, authenticator: Authenticator, once: Once) -> None:
        self.operation = operation
        self.signature = Signature.of(operation)
        self._authenticator = authenticator
        self._once = once
        body = self.signature.body
        self._body: JsonReader[BaseModel] | None = JsonReader(body, "body") if body else None
        self._query = self.signature.query or Parameters
        self._fields = {  # Whether each is a list.
            field.alias or name: _is_list(field.annotation)
            for name, field in self._query.model_fields.items()
        }
        self._answer: TypeAdapter[Any] = TypeAdapter(self.signature.answer)
        self._location = compile_path(operation.location) if operation.location else None

    async def __call__(self, request: Request) -> Response:
        self._set_limits(request.scope)
        caller = await self._authenticate(request)
        arguments = await self._arguments(request)
        key = _key(arguments)
        if self.signature.caller:
            arguments["caller"] = caller
        if key is None:
            return self._located(request, await self._handle(arguments))
        keyed_request = await self._keyed(request, caller, key)
        answer = await self._once.answer(keyed_request, lambda: self._handle(arguments))
        return self._located(request, answer)

    def _located(self, request: Request, response: Response) -> Response:
        """Add the location of the new resource (RFC 9110, 15.3.2).

        It is read from the body, because a replayed answer has nothing else.
        """
        if self._location is not None:
            _, path, parameters = self._location
            known = request.path_params | orjson.loads(response.body)
            values = {name: quote(str(known[name]), safe="") for name in parameters}
            response.headers["Location"] = PREFIX + path.format(**values)
        return response

    async def _handle(self, arguments: Mapping[str, Any]) -> Response:
        answer = await self.operation.handler(**arguments)
        if self.signature.answer is None:
            return Response(status_code=HTTPStatus.NO_CONTENT)
        return Response(
            # Otherwise a value of another type would be sent with all its fields and a warning.
            self._answer.dump_json(answer, warnings="error"),
            self.operation.status,
            media_type="application/json",
        )

    async def _keyed(self, request: Request, caller: Identity, key: str) -> KeyedRequest:
        operation = f"{self.operation.method} {self.operation.path}"
        body = await request.body() if self.signature.body else b""
        return keyed(request, caller=caller.user, operation=operation, key=key, body=body)

    def _set_limits(self, scope: Scope) -> None:
        if self.operation.timeout is not None:
            allow_time(scope, self.operation.timeout)
        if self.operation.max_body is not None:
            allow_body(scope, self.operation.max_body)

    async def _authenticate(self, request: Request) -> Identity:
        # Every operation has a caller, also one that does not ask who it is: a handler that
        # forgets `caller` must not become public by that.
        caller = await self._authenticator.authenticate(
            Credentials(headers=request.headers, query=request.query_params)
        )
        request.scope["user"] = caller.user
        return caller

    async def _arguments(self, request: Request) -> dict[str, Any]:
        signature = self.signature
        raw: dict[str, Callable[[], BaseModel]] = {}
        if (path := signature.path) is not None:
            raw["path"] = lambda: path.model_validate(request.path_params)
        if signature.query or request.scope["query_string"]:
            raw["query"] = lambda: self._checked_query(request.query_params)
        if (header := signature.header) is not None:
            raw["header"] = lambda: header.of(request.headers)
        if (body := self._body) is not None:
            json = await _json(request)
            raw["body"] = lambda: body.read(json)
        arguments = _validated(raw)
        if signature.query is None:
            arguments.pop("query", None)  # The check showed that it is empty.
        return arguments

    def _checked_query(self, given: QueryParams) -> BaseModel:
        values: dict[str, list[str]] = {}
        for name, value in given.multi_items():
            if name in self._fields or name not in self._authenticator.parameters:
                values.setdefault(name, []).append(value)
        # An answer lists at most MAX_FAULTS errors, so further names need no validation.
        return self._query.model_validate(
            {
                name: self._one_or_all(name, values[name])
                for name in islice(values, len(self._fields) + MAX_FAULTS)
            }
        )

    def _one_or_all(self, name: str, values: list[str]) -> str | list[str]:
        if self._fields.get(name):
            return values
        if len(values) > 1:
            raise _repeated(name)
        return values[0]


def _key(arguments: dict[str, Any]) -> str | None:
    """Take the idempotency key out of what is for the handler."""
    header: IdempotencyHeader | None = arguments.pop("header", None)
    return header.key if header else None


def _validated(raw: Mapping[str, Callable[[], BaseModel]]) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    errors: list[dict[str, Any]] = []
    for place, validate in raw.items():
        try:
            arguments[place] = validate()
        except ValidationError as error:
            errors += faults(error, place)
    if errors:
        raise ValidationFailed(errors=errors)
    return arguments


async def _json(request: Request) -> bytes:
    if not is_json(request.headers.get("content-type", "")):
        raise UnsupportedMediaType
    return await request.body()


def _repeated(name: str) -> ValidationError:
    error = PydanticCustomError("repeated", "Parameter is given more than once")
    return ValidationError.from_exception_data(
        "query", [InitErrorDetails(type=error, loc=(name,), input=None)]
    )


def _is_list(annotation: Any) -> bool:
    return get_origin(annotation) is list or any(_is_list(part) for part in get_args(annotation))

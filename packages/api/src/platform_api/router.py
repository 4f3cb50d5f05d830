"""From a path to an operation, by the feature's segment first: no long list is walked."""

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from starlette.requests import Request
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from platform_api.declaration import DeclarationInvalid, place_of
from platform_api.errors import MethodNotAllowed, RouteNotFound
from platform_api.operation import PREFIX, Endpoint, Operation

PARAMETER = re.compile(r"\{[^{}]*\}")
SOCKET_PATH = f"{PREFIX}/ws"


class Api:
    """The whole API below its prefix."""

    def __init__(self, endpoints: Sequence[Endpoint], realtime: ASGIApp) -> None:
        """Raises `DeclarationInvalid` when two operations have the same method and path."""
        self._realtime = realtime
        self._features = {
            segment: Router(routes, default=_nothing_here, redirect_slashes=False)
            for segment, routes in _routes(endpoints).items()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if has_encoded_slash(scope):
            raise RouteNotFound
        if scope["path"] == SOCKET_PATH:
            await self._realtime(scope, receive, send)
            return
        start, _, rest = scope["path"].partition(f"{PREFIX}/")
        segment = rest.partition("/")[0]
        feature: ASGIApp = self._features.get(segment, _nothing_here)
        await (_nothing_here if start else feature)(scope, receive, send)


def has_encoded_slash(scope: Scope) -> bool:
    """Return whether the path contains a `%2F`, which is decoded to a slash in `scope["path"]`.

    A `%2F` is data, not a separator (RFC 3986, 2.2), and none of our parameters may hold a slash.
    """
    raw_path: bytes = scope.get("raw_path") or b""
    return b"%2" in raw_path and b"%2f" in raw_path.lower()


class Methods:
    """All operations of one path."""

    def __init__(self, by_method: Mapping[str, Endpoint]) -> None:
        self._by_method = dict(by_method)
        if "GET" in by_method:  # RFC 9110, 9.3.2: the server leaves out the body of a HEAD.
            self._by_method["HEAD"] = by_method["GET"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = self._by_method.get(scope["method"])
        if endpoint is None:
            raise MethodNotAllowed(sorted(self._by_method))
        response = await endpoint(Request(scope, receive))
        await response(scope, receive, send)


def _routes(endpoints: Sequence[Endpoint]) -> dict[str, list[Route]]:
    paths: dict[str, dict[str, Endpoint]] = defaultdict(dict)
    for endpoint in endpoints:
        operation = endpoint.operation
        place = place_of(operation.handler)
        if operation.method in (known := paths[operation.path]):
            raise DeclarationInvalid(
                f"{operation.method} {operation.path} is declared twice: {place};"
                f" {place_of(known[operation.method].operation.handler)}"
            )
        if PREFIX + operation.path == SOCKET_PATH:
            raise DeclarationInvalid(f"{operation.path} belongs to the WebSocket ({place})")
        known[operation.method] = endpoint
    for endpoint in endpoints:
        _check_location(endpoint.operation, paths)
    routes: dict[str, list[Route]] = defaultdict(list)
    for path in _most_literal_first(paths):
        routes[path.split("/")[1]].append(Route(PREFIX + path, Methods(paths[path])))
    return routes


def _check_location(operation: Operation, paths: Mapping[str, Mapping[str, Endpoint]]) -> None:
    if operation.location is not None and "GET" not in paths.get(operation.location, ()):
        raise DeclarationInvalid(
            f"{operation.method} {operation.path} ({place_of(operation.handler)}):"
            f" there is no GET {operation.location}, which is its `location`"
        )


def _most_literal_first(paths: Collection[str]) -> list[str]:
    """Sort, so that `/projects/latest` is matched before `/projects/{id}`.

    Raises `DeclarationInvalid` for two spellings of the same path: only one would ever match.
    """
    shapes = {PARAMETER.sub("{}", path): path for path in paths}
    for path in paths:
        if (other := shapes[PARAMETER.sub("{}", path)]) != path:
            raise DeclarationInvalid(f"{path} and {other} are one path; name its parameters alike")
    return sorted(paths, key=lambda path: [part.startswith("{") for part in path.split("/")])


async def _nothing_here(scope: Scope, receive: Receive, send: Send) -> None:
    raise RouteNotFound

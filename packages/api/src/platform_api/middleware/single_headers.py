"""Refuses a request that repeats a header used for security decisions."""

from starlette.types import ASGIApp, Receive, Scope, Send

from platform_api.errors import HeaderRepeated

# With two values, a proxy may use the last and the application the first. HTTP/1.1 allows only one
# Cookie header (RFC 6265, 5.4), and none of the others is a list (RFC 9110, 5.3).
SINGLE = frozenset({b"authorization", b"content-type", b"cookie", b"host", b"origin", b"x-user-id"})


class SingleHeaders:
    """Raises `HeaderRepeated` for requests and WebSocket handshakes that repeat such a header."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        names = [name for name, _ in scope["headers"] if name in SINGLE]
        if len(set(names)) < len(names):
            repeated = next(name for name in names if names.count(name) > 1)
            raise HeaderRepeated(header=repeated.decode("ascii"))
        await self._app(scope, receive, send)

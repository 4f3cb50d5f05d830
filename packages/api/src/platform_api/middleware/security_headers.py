"""What tells a browser to make nothing of an answer but what it is: data for a program."""

from collections.abc import Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS: Mapping[bytes, bytes] = {
    b"x-content-type-options": b"nosniff",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
    b"referrer-policy": b"no-referrer",
    b"cache-control": b"no-store",
}
STARTS = {"http.response.start", "websocket.http.response.start"}


class SecurityHeaders:
    """Adds the headers that OWASP advises for JSON APIs, each unless the app has set it.

    Source: OWASP REST Security Cheat Sheet, "Security Headers". Not Strict-Transport-Security:
    whether a name is to be reached by TLS only is known to the proxy that has its certificate.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def protected_send(message: Message) -> None:
            if message["type"] in STARTS:
                message = {**message, "headers": _completed(message.get("headers", ()))}
            await send(message)

        await self._app(scope, receive, protected_send)


def _completed(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    given = {name for name, _ in headers}
    return [*headers, *(header for header in HEADERS.items() if header[0] not in given)]

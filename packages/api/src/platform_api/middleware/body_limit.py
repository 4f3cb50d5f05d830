"""A ceiling on the size of request bodies."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from platform_api.errors import PayloadTooLarge


class BodyLimit:
    """Raises `PayloadTooLarge`: at once by Content-Length, else when the ceiling is passed."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # The HTTP parser has already refused a Content-Length that is not a number.
        if int(Headers(scope=scope).get("content-length", "0")) > self._max:
            raise PayloadTooLarge(max_bytes=self._max)
        received = 0

        async def counted_receive() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max:
                raise PayloadTooLarge(max_bytes=self._max)
            return message

        await self._app(scope, counted_receive, send)

"""While the server drains, every answer is the last one on its connection."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from platform_api.server.lifecycle import Lifecycle

CLOSE = (b"connection", b"close")


class LastAnswers:
    """Pure ASGI middleware, to be placed outside everything that answers.

    It tells the client in time that it has to take another connection; the server closes this one.
    """

    def __init__(self, app: ASGIApp, lifecycle: Lifecycle) -> None:
        self._app = app
        self._lifecycle = lifecycle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_and_close(message: Message) -> None:
            if message["type"] == "http.response.start" and self._lifecycle.draining.is_set():
                message = closing(message)
            await send(message)

        await self._app(scope, receive, send_and_close)


def closing(message: Message) -> Message:
    """Return the start of an answer with `connection: close`, once."""
    headers = list(message.get("headers", ()))
    return message if CLOSE in headers else {**message, "headers": [*headers, CLOSE]}

"""Nothing a handler raises gets past here: it becomes an answer, and a bug one line in the log.

It stands inside CORS, so that a browser may read a 500, and inside the request log, so that the
line of a bug carries the request's id.
"""

from loguru import logger
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from platform_api.cancellation import is_cancelled
from platform_api.errors import error_response, meaning_of

STARTS = {"http.response.start", "websocket.accept", "websocket.http.response.start"}


class ErrorBoundary:
    """Answers errors in the one shape: requests, and WebSocket handshakes before they succeed."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watched_send(message: Message) -> None:
            nonlocal started
            started = started or message["type"] in STARTS
            await send(message)

        try:
            await self._app(scope, receive, watched_send)
        except ClientDisconnect:
            logger.debug("The client left before its request was read.")
        # SystemExit and KeyboardInterrupt too: raised by a handler they would end the server.
        except BaseException as error:
            if is_cancelled(error):
                raise
            response = error_response(meaning_of(error, scope["request_id"]))
            if not started:
                # Refuses a handshake by ASGI's WebSocket Denial Response.
                await response(scope, receive, send)
            # Else the answer stays unfinished, which the client can tell from a whole one.

"""Nothing a handler raises gets past here: it becomes an answer, and a bug one line in the log.

It stands inside CORS, so that a browser may read a 500, and inside the request log, so that the
line of a bug carries the request's id.
"""

import asyncio

from loguru import logger
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from platform_api.errors import InternalError, error_response
from platform_domain.errors import DomainError


class ErrorBoundary:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def watched_send(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched_send)
        except asyncio.CancelledError:
            raise
        except ClientDisconnect:
            logger.debug("The client left before its request was read.")
        # SystemExit and KeyboardInterrupt too: raised by a handler they would end the server.
        except BaseException as error:  # noqa: BLE001
            answer = _meaning(error, scope["request_id"])
            if not started:
                await error_response(answer)(scope, receive, send)
            # Else the answer stays unfinished, which the client can tell from a whole one.


def _meaning(error: BaseException, request_id: str) -> DomainError:
    if isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        return _meaning(error.exceptions[0], request_id)
    if isinstance(error, DomainError):
        return error
    logger.opt(exception=error).error("A request failed: {}", type(error).__name__)
    return InternalError(request_id=request_id)

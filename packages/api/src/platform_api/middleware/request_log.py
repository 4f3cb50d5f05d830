"""One line a request, and the ids that every line written meanwhile carries."""

import time
from http import HTTPStatus

from loguru import logger
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from platform_api.trace import Ids

CLIENT_GONE = 499  # Nginx's number for a client that left before it was answered.

UNLOGGED = "unlogged"  # Where the scope says that somebody else tells of this request.


class RequestLog:
    """Logs method, route, path, status, duration (ms), user; answers with `X-Request-ID`.

    A WebSocket is a request of status 101 that is logged when it has ended.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        ids = Ids.of(headers.get("x-request-id"), headers.get("traceparent"))
        scope["request_id"] = ids.request
        with logger.contextualize(request_id=ids.request, trace_id=ids.trace):
            await self._observed(scope, receive, send, ids)

    async def _observed(self, scope: Scope, receive: Receive, send: Send, ids: Ids) -> None:
        started = time.perf_counter()
        status = CLIENT_GONE

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "websocket.accept":
                status = HTTPStatus.SWITCHING_PROTOCOLS
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                status = message["status"]
                MutableHeaders(raw=message["headers"])["x-request-id"] = ids.request
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            if not scope.get(UNLOGGED):
                _log(scope, status, time.perf_counter() - started)


def leave_out_of_log(scope: Scope) -> None:
    """Write no line for this request. Whoever calls this tells of it in another way."""
    scope[UNLOGGED] = True


def _log(scope: Scope, status: int, seconds: float) -> None:
    route, method = scope.get("route"), scope.get("method", "GET")
    close_code = {"close_code": scope["close_code"]} if "close_code" in scope else {}
    logger.bind(
        method=method,
        route=route.path_format if route else None,
        path=scope["path"],
        status=int(status),
        duration_ms=round(seconds * 1000, 2),
        user=scope.get("user"),
        **close_code,
    ).info("{} {} {}", method, scope["path"], int(status))

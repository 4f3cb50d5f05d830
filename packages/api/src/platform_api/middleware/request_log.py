"""One line a request, and the ids that every line written meanwhile carries."""

import time

from loguru import logger
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from platform_api.trace import Ids

CLIENT_GONE = 499  # Nginx's number for a client that left before it was answered.


class RequestLog:
    """Logs method, route, path, status, duration (ms), user; answers with `X-Request-ID`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
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
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(raw=message["headers"])["x-request-id"] = ids.request
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            _log(scope, status, time.perf_counter() - started)


def _log(scope: Scope, status: int, seconds: float) -> None:
    route = scope.get("route")
    logger.bind(
        method=scope["method"],
        route=route.path_format if route else None,
        path=scope["path"],
        status=status,
        duration_ms=round(seconds * 1000, 2),
        user=scope.get("user"),
    ).info("{} {} {}", scope["method"], scope["path"], status)

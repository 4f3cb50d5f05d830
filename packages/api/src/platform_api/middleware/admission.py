"""How much is worked on at a time: the rest is sent away while that is still cheap."""

import asyncio

from loguru import logger
from starlette.types import ASGIApp, Receive, Scope, Send

from platform_api.errors import Overloaded, error_response
from platform_api.middleware.lag import Lag
from platform_api.middleware.request_log import leave_out_of_log

LOG_INTERVAL_SECONDS = 5.0


class Admission:
    """Answers 503 `overloaded` at once while there is too much to do; the connection is kept.

    Too much is `max_in_flight` requests, or an event loop that cannot keep up: what waits for the
    processor waits unread, where nobody can count it. A queue would only make everybody wait
    longer. Refusals are logged together, at most one line every 5 s.
    """

    def __init__(self, app: ASGIApp, *, max_in_flight: int) -> None:
        self._app = app
        self._max = max_in_flight
        self._in_flight = 0
        self._refused = 0
        self._lag = Lag()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif self._has_room():
            await self._admit(scope, receive, send)
        else:
            self._count_refusal()
            leave_out_of_log(scope)
            await error_response(Overloaded())(scope, receive, send)

    def _has_room(self) -> bool:
        return self._in_flight < self._max and not self._lag.is_too_long()

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._in_flight += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._in_flight -= 1

    def _count_refusal(self) -> None:
        if self._refused == 0:
            asyncio.get_running_loop().call_later(LOG_INTERVAL_SECONDS, self._log_refusals)
        self._refused += 1

    def _log_refusals(self) -> None:
        logger.warning(
            "Overloaded: {} requests refused in {:g} s.", self._refused, LOG_INTERVAL_SECONDS
        )
        self._refused = 0

"""What there is no room for is sent away while that is still cheap."""

from starlette.types import ASGIApp, Receive, Scope, Send

from platform_api.capacity import Capacity
from platform_api.errors import Overloaded, error_response
from platform_api.middleware.request_log import leave_out_of_log


class Admission:
    """Answers 503 `overloaded` at once while there is too much to do; the connection is kept.

    A queue would only make everybody wait longer. Most refusals never come as far as here: see
    `LoadShedding`.
    """

    def __init__(self, app: ASGIApp, capacity: Capacity) -> None:
        self._app = app
        self._capacity = capacity

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif self._capacity.has_room():
            with self._capacity.taken():
                await self._app(scope, receive, send)
        else:
            self._capacity.refuse()
            leave_out_of_log(scope)
            await error_response(Overloaded())(scope, receive, send)

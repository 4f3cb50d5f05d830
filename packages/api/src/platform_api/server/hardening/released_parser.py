"""A connection that became a WebSocket keeps nothing of HTTP."""

from typing import Any, cast

from hypercorn.asyncio.worker_context import EventWrapper
from hypercorn.protocol.events import Event, Response
from hypercorn.protocol.h11 import H11Protocol, H11WSConnection

from platform_api.light_event import LightEvent

SWITCHING_PROTOCOLS = 101


class LightEventWrapper(EventWrapper):
    """Hypercorn's event around one that takes little memory."""

    def __init__(self) -> None:
        self._event = cast(Any, LightEvent())


class ReleasedParser(H11Protocol):
    """Lets go of the HTTP parser as soon as an upgrade is answered: nothing asks it any more.

    Removes: the parser and the request it had parsed stayed for as long as the socket, and so did
    a large event that only pipelining needs. An idle socket took 49 KiB; both are four of them.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.can_read = LightEventWrapper()

    async def stream_send(self, event: Event) -> None:
        await super().stream_send(event)
        is_upgrade = isinstance(event, Response) and event.status_code == SWITCHING_PROTOCOLS
        if is_upgrade and isinstance(self.connection, H11WSConnection):
            self.connection.h11_connection = cast(Any, None)

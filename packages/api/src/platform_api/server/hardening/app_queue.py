"""What the peer sent and the app has not read yet."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from hypercorn.asyncio.task_group import TaskGroup, _handle
from hypercorn.config import Config
from hypercorn.typing import AppWrapper, ASGIReceiveEvent, ASGISendEvent, Scope

from platform_api.light_event import LightEvent

MAX_BYTES = 256 * 1024
MESSAGE_OVERHEAD = 256  # Bytes, about; so that a million empty messages are not free.
LAST = ("http.disconnect", "websocket.disconnect")


class AppQueue:
    """Bounded in bytes; the disconnect always gets in, and every later reader gets it again.

    One message of any size fits into an empty queue. What is put after the disconnect is dropped.
    """

    def __init__(self) -> None:
        self._messages: list[ASGIReceiveEvent] = []  # An empty deque takes 760 bytes.
        self._bytes = 0
        self._last: ASGIReceiveEvent | None = None
        self._news = LightEvent()
        self._room = LightEvent()

    async def put(self, message: ASGIReceiveEvent) -> None:
        """Add a message, after waiting for room."""
        if message["type"] in LAST:
            self._end(message)
            return
        while self._last is None and self._bytes >= MAX_BYTES:
            self._room.clear()
            await self._room.wait()
        if self._last is None:
            self._messages.append(message)
            self._bytes += _size(message)
            self._news.set()

    async def get(self) -> ASGIReceiveEvent:
        """Return the oldest message, after waiting for one."""
        while not self._messages:
            if self._last is not None:
                return self._last
            self._news.clear()
            await self._news.wait()
        message = self._messages.pop(0)
        self._bytes -= _size(message)
        self._room.set()
        return message

    def _end(self, message: ASGIReceiveEvent) -> None:
        self._last = self._last or message
        self._news.set()
        self._room.set()


class UnblockedTaskGroup(TaskGroup):
    """Starts an app with a queue that cannot block the connection's end.

    Removes: an answer without reading a large body, or a WebSocket handler that ignores its queue
    of ten messages, blocked the app's own `send` for ever, leaked task and connection, and then
    hung the shutdown.
    """

    async def spawn_app(
        self,
        app: AppWrapper,
        config: Config,
        scope: Scope,
        send: Callable[[ASGISendEvent | None], Awaitable[None]],
    ) -> Callable[[ASGIReceiveEvent], Awaitable[None]]:
        queue = AppQueue()
        run_in_thread = partial(self._loop.run_in_executor, None)
        self.spawn(_handle, app, config, scope, queue.get, send, run_in_thread, self._call_soon)
        return queue.put

    def _call_soon(self, function: Callable[..., Any], *args: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(function(*args), self._loop).result()


def _size(message: ASGIReceiveEvent) -> int:
    fields: dict[str, Any] = {**message}
    content = fields.get("body") or fields.get("bytes") or fields.get("text") or b""
    return MESSAGE_OVERHEAD + len(content)

"""One WebSocket for as long as it lasts. Nobody else holds the raw socket."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from loguru import logger
from starlette.types import Message, Receive, Send

from platform_api.rate import Rate
from platform_api.realtime.close_codes import CloseCode
from platform_api.realtime.messages import ServerMessage
from platform_api.realtime.outbox import Outbox, OutboxFull, Text
from platform_api.realtime.topic import SlowPolicy
from platform_domain.identity import Identity

SEND_SECONDS = 8.0  # Less than the default of HTTP_SEND_TIMEOUT, which leaves no close code.
GOODBYE_SECONDS = 1.0
CANCEL_SECONDS = 0.5
INBOX_MESSAGES = 64

Incoming = str | bytes
Handle = Callable[["Session", Incoming], Awaitable[None]]
WriteFrame = Callable[[bytes], bool]
Refuse = Callable[["Session", Incoming], None]


class Session:
    """Reads always, so that a lost peer is noticed; handles one message at a time; writes alone.

    `run` returns when the socket is done for, however that came about. It reads; the tasks that
    handle and write are there only while there is something to do: most sockets are idle.
    """

    def __init__(
        self, identity: Identity, receive: Receive, send: Send, *, per_second: float
    ) -> None:
        """`per_second` bounds the messages of the peer."""
        self.id = secrets.token_hex(8)
        self.identity = identity
        self.topics: set[str] = set()
        self.close_code: int | None = None
        self._dropped = 0
        self._receive = receive
        self._send = send
        self._outbox = Outbox()
        self._inbox: list[Incoming] = []
        self._direct: WriteFrame | None = None
        self._rate = Rate(per_second, time.monotonic)
        self._closes = False
        self._reading: asyncio.Timeout | None = None
        self._sending: asyncio.Timeout | None = None
        self._handler: asyncio.Task[None] | None = None
        self._writer: asyncio.Task[None] | None = None
        self._error: BaseException | None = None

    async def accept(self, direct: WriteFrame | None = None) -> None:
        """Let the handshake succeed. `direct` is the server's way past its queues, if it has one."""
        await self._receive()  # ASGI's `websocket.connect`, which comes before everything.
        await self._send({"type": "websocket.accept"})
        self._direct = direct

    def tell(self, message: ServerMessage) -> None:
        """Queue a message. A peer that is too slow to take it is closed."""
        json = message.model_dump_json(exclude_none=True, fallback=str)
        self.tell_text(Text(json.encode()))

    def tell_text(self, text: Text, slow: SlowPolicy = SlowPolicy.DISCONNECT) -> None:
        """Queue a message that is already JSON; `slow` says what may go when it does not fit."""
        if self._write_directly(text):
            return
        try:
            self._dropped += self._outbox.put(text, slow)
        except OutboxFull:
            self.close(CloseCode.SLOW_CONSUMER, discard=True)
        self._begin_writing()

    def _write_directly(self, text: Text) -> bool:
        """Write past the outbox, when nothing waits there or is being written from there."""
        return (
            self._direct is not None
            and self.close_code is None
            and self._writer is None
            and self._outbox.is_empty
            and self._direct(text.frame)
        )

    def close(self, code: CloseCode, *, discard: bool = False) -> None:
        """Close after what waits has been written, or at once. The first code counts."""
        if self.close_code is None:
            self.close_code = code
            self._closes = True
            self._outbox.close(discard=discard)
            # So that the peer is told why, if it ever reads again.
            _end_in(0 if discard else GOODBYE_SECONDS / 2, self._sending)
            self._begin_writing()
            _end_in(GOODBYE_SECONDS, self._reading)

    async def run(self, handle: Handle, refuse: Refuse) -> None:
        """Serve the accepted socket. `refuse` is called for a message that came too fast."""
        try:
            async with asyncio.timeout(GOODBYE_SECONDS if self._closes else None) as reading:
                self._reading = reading
                self._begin_writing()
                await self._read(handle, refuse)
        except TimeoutError:
            if not reading.expired():
                raise
        finally:
            self._reading = None
            await _cancelled({task for task in (self._handler, self._writer) if task})
            self._handler = self._writer = None
            if self._dropped:
                logger.info("A socket read too slowly for {} events.", self._dropped)
        if self._error is not None:
            raise self._error

    async def _read(self, handle: Handle, refuse: Refuse) -> None:
        while (message := await self._receive())["type"] != "websocket.disconnect":
            incoming = _content(message)
            if not self._rate.allows():
                self.close(CloseCode.TOO_MANY_MESSAGES, discard=True)
            elif len(self._inbox) < INBOX_MESSAGES:
                self._inbox.append(incoming)
                self._begin_handling(handle)
            else:
                refuse(self, incoming)
        self._left(message.get("code"))

    def _left(self, code: int | None) -> None:
        if self.close_code is None:
            self.close_code = code
        self._outbox.close(discard=True)

    def _begin_handling(self, handle: Handle) -> None:
        if self._handler is None:
            self._handler = self._begin(self._handle(handle), "handler")

    async def _handle(self, handle: Handle) -> None:
        try:
            await handle(self, self._inbox.pop(0))
            while self._inbox:
                await asyncio.sleep(0)  # Let other tasks run between the messages of a burst.
                await handle(self, self._inbox.pop(0))
        finally:
            self._handler = None

    def _begin_writing(self) -> None:
        is_served = self._reading is not None
        if is_served and self._writer is None and (self._closes or not self._outbox.is_empty):
            self._writer = self._begin(self._write(), "writer")

    async def _write(self) -> None:
        try:
            while (text := self._outbox.take()) is not None:
                await self._send_text(text)
        except TimeoutError:
            self.close(CloseCode.SLOW_CONSUMER, discard=True)
        if self._closes:
            await self._send({"type": "websocket.close", "code": self.close_code})
            _end_in(GOODBYE_SECONDS, self._reading)
        else:
            self._writer = None

    async def _send_text(self, text: Text) -> None:
        try:
            async with asyncio.timeout(SEND_SECONDS) as self._sending:
                await self._send({"type": "websocket.send", "text": text.json})
        finally:
            self._sending = None

    def _begin(self, work: Coroutine[Any, Any, None], part: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=f"socket {self.id} {part}")
        task.add_done_callback(self._task_ended)
        return task

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or (error := task.exception()) is None:
            return
        if self._reading is None:
            logger.debug("A socket's task ended with {!r}.", error)
            return
        self._error = error
        _end_in(0, self._reading)


def _content(message: Message) -> Incoming:
    text, data = message.get("text"), message.get("bytes")
    return text if text is not None else data or b""


def _end_in(seconds: float, work: asyncio.Timeout | None) -> None:
    """Let work that still goes on end so many seconds from now."""
    if work is not None and not work.expired():
        work.reschedule(asyncio.get_running_loop().time() + seconds)


async def _cancelled(tasks: set[asyncio.Task[None]]) -> None:
    """End the tasks, also when the caller is cancelled meanwhile: none may outlive its socket."""
    interrupted = None
    while tasks:  # A library below a handler may swallow one cancellation.
        for task in tasks:
            task.cancel()
        try:
            _, tasks = await asyncio.wait(tasks, timeout=CANCEL_SECONDS)
        except asyncio.CancelledError as error:
            interrupted = error
    if interrupted is not None:
        raise interrupted

"""One WebSocket for as long as it lasts. Nobody else holds the raw socket."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from loguru import logger
from starlette.types import Message, Receive, Send

from platform_api.realtime.close_codes import CloseCode
from platform_api.realtime.messages import ServerMessage
from platform_api.realtime.outbox import Outbox, OutboxFull, Text
from platform_api.realtime.rate import Rate
from platform_api.realtime.topic import SlowPolicy
from platform_domain.identity import Identity

SEND_SECONDS = 10.0
GOODBYE_SECONDS = 1.0
CANCEL_SECONDS = 0.5
INBOX_MESSAGES = 64

Incoming = str | bytes
Handle = Callable[["Session", Incoming], Awaitable[None]]
WriteFrame = Callable[[bytes], bool]
Refuse = Callable[["Session"], None]


class Session:
    """Reads always, so that a lost peer is noticed; handles one message at a time; writes alone.

    `run` returns when the socket is done for, however that came about.
    """

    def __init__(
        self, identity: Identity, receive: Receive, send: Send, *, per_second: float
    ) -> None:
        """`per_second` bounds the messages of the peer."""
        self.id = secrets.token_hex(8)
        self.identity = identity
        self.topics: set[str] = set()
        self.close_code: int | None = None
        self.dropped = 0
        self._receive = receive
        self._send = send
        self._outbox = Outbox()
        self._inbox: asyncio.Queue[Incoming] = asyncio.Queue(INBOX_MESSAGES)
        self._direct: WriteFrame | None = None
        self._writing = False
        self._rate = Rate(per_second, time.monotonic)
        self._closing = asyncio.Event()
        self._ended = asyncio.Event()

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
            self.dropped += self._outbox.put(text, slow)
        except OutboxFull:
            self.close(CloseCode.SLOW_CONSUMER, discard=True)

    def _write_directly(self, text: Text) -> bool:
        """Write past the outbox, when nothing waits there or is being written from there."""
        return (
            self._direct is not None
            and self.close_code is None
            and self._outbox.is_empty
            and not self._writing
            and self._direct(text.frame)
        )

    def close(self, code: CloseCode, *, discard: bool = False) -> None:
        """Close after what waits has been written, or at once. The first code counts."""
        if self.close_code is None:
            self.close_code = code
            self._outbox.close(discard=discard)
            self._closing.set()

    async def ended(self) -> None:
        """Return when nothing of the socket is left."""
        await self._ended.wait()

    async def run(self, handle: Handle, refuse: Refuse) -> None:
        """Serve the accepted socket. `refuse` is called for a message that came too fast."""
        reader = self._begin(self._read(refuse), "reader")
        writer = self._begin(self._write(), "writer")
        others = {
            self._begin(self._handle(handle), "handler"),
            self._begin(self._closing.wait(), "close"),
        }
        try:
            await self._until_done(reader, writer, others)
        finally:
            await _cancelled({reader, writer, *others})
            self._ended.set()

    def _begin(self, work: Coroutine[Any, Any, object], part: str) -> asyncio.Task[object]:
        return asyncio.create_task(work, name=f"socket {self.id} {part}")

    async def _until_done(
        self,
        reader: asyncio.Task[object],
        writer: asyncio.Task[object],
        others: set[asyncio.Task[object]],
    ) -> None:
        """Wait for the peer to leave; after a close of ours only a moment longer."""
        done, _ = await asyncio.wait({reader, writer, *others}, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            if (error := task.exception()) is not None:
                raise error
        if reader not in done:
            await asyncio.wait({writer}, timeout=GOODBYE_SECONDS)
            await asyncio.wait({reader}, timeout=GOODBYE_SECONDS)

    async def _read(self, refuse: Refuse) -> None:
        while (message := await self._receive())["type"] != "websocket.disconnect":
            if not self._rate.allows():
                self.close(CloseCode.TOO_MANY_MESSAGES, discard=True)
                continue
            try:
                self._inbox.put_nowait(_content(message))
            except asyncio.QueueFull:
                refuse(self)
        self._left(message.get("code"))

    def _left(self, code: int | None) -> None:
        if self.close_code is None:
            self.close_code = code
        self._outbox.close(discard=True)

    async def _handle(self, handle: Handle) -> None:
        while True:
            await handle(self, await self._inbox.get())

    async def _write(self) -> None:
        try:
            while (text := await self._outbox.get()) is not None:
                self._writing = True
                async with asyncio.timeout(SEND_SECONDS):
                    await self._send({"type": "websocket.send", "text": text.json})
                self._writing = False
        except TimeoutError:
            self.close(CloseCode.SLOW_CONSUMER, discard=True)
        if self._closing.is_set():
            await self._send({"type": "websocket.close", "code": self.close_code})


def _content(message: Message) -> Incoming:
    text, data = message.get("text"), message.get("bytes")
    return text if text is not None else data or b""


async def _cancelled(tasks: set[asyncio.Task[object]]) -> None:
    running = tasks
    while running:  # A library below a handler may swallow one cancellation.
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=CANCEL_SECONDS)
    for task in tasks:
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.debug("A socket's task ended with {!r}.", error)

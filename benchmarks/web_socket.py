"""A WebSocket client that costs little, so that one core of it can drive ten thousand.

A general client decodes, buffers and awaits each message, and so becomes the limit before the
server does. This one finds the frames in what has come and hands their payloads on as bytes.
"""

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import cast

PATIENCE_SECONDS = 10.0
ABNORMAL = 1006
TEXT, CLOSE, PING, PONG = 0x81, 0x88, 0x89, 0x8A

Hears = Callable[[bytes], None]

_UPGRADE = (
    "GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
    "sec-websocket-version: 13\r\nsec-websocket-key: c2l4dGVlbiBieXRlcyEhIQ==\r\n\r\n"
)


class Refused(Exception):
    """The handshake was answered with something else than 101."""


class WebSocket(asyncio.Protocol):
    """One socket; `hears` gets each message. Fragments are not understood: the server sends none.

    What the client sends is masked with zeros, which the protocol allows (RFC 6455, 5.3).
    """

    def __init__(self, path: str, hears: Hears) -> None:
        loop = asyncio.get_running_loop()
        self.hears = hears
        self.opened: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[int] = loop.create_future()
        self.transport: asyncio.Transport
        self._path = path
        self._rest = b""
        self._code = ABNORMAL

    @classmethod
    async def to(
        cls, port: int, path: str, hears: Hears, *, receive_buffer: int | None = None
    ) -> "WebSocket":
        """Open a socket. Raises `OSError`, `TimeoutError` and `Refused`. `receive_buffer` is the
        kernel's, in bytes."""
        loop = asyncio.get_running_loop()
        sock = socket.socket()
        sock.setblocking(False)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await loop.sock_connect(sock, ("127.0.0.1", port))
            _, ws = await loop.create_connection(lambda: cls(path, hears), sock=sock)
            await ws.opened
        return ws

    def tell(self, message: bytes) -> None:
        self._write(TEXT, message)

    def reset(self) -> None:
        """End the connection by an RST, as a client that crashes behind a NAT would."""
        sock: socket.socket = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    async def leave(self) -> None:
        self._write(CLOSE, struct.pack("!H", 1000))
        await self.closed

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass.
        self.transport.write(_UPGRADE.format(path=self._path).encode())

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_exception(exc or ConnectionResetError())
        self.closed.set_result(self._code)

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        start = 0 if self.opened.done() else self._after_the_handshake(data)
        while len(data) - start >= 2 and (frame := _frame(data, start)) is not None:
            begin, end = frame
            if data[start] == TEXT:
                self.hears(data[begin:end])
            else:
                self._control(data[start], data[begin:end])
            start = end
        self._rest = data[start:]

    def _after_the_handshake(self, data: bytes) -> int:
        head, end, _ = data.partition(b"\r\n\r\n")
        if not end:
            return 0
        if head.startswith(b"HTTP/1.1 101 "):
            self.opened.set_result(None)
        else:
            self.opened.set_exception(Refused(head.decode()))
        return len(head) + len(end)

    def _control(self, kind: int, payload: bytes) -> None:
        if kind == PING:
            self._write(PONG, payload)
        elif kind == CLOSE:
            self._code = int.from_bytes(payload[:2], "big")
            self._write(CLOSE, payload[:2])
            self.transport.close()

    def _write(self, kind: int, payload: bytes) -> None:
        length = len(payload)
        size = bytes((0x80 | length,)) if length < 126 else struct.pack("!BH", 0xFE, length)
        self.transport.write(bytes((kind,)) + size + bytes(4) + payload)


def _frame(data: bytes, start: int) -> tuple[int, int] | None:
    """Return where the payload of the frame at `start` begins and ends, if all of it is here."""
    begin, length = start + 2, data[start + 1]
    if length == 126:
        begin, length = start + 4, int.from_bytes(data[start + 2 : start + 4], "big")
    elif length == 127:
        begin, length = start + 10, int.from_bytes(data[start + 2 : start + 10], "big")
    return (begin, begin + length) if begin + length <= len(data) else None

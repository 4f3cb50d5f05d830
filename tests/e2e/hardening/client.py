"""A client that says exactly what it is told to, byte by byte."""

import base64
import json
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

PATIENCE_SECONDS = 15.0
TEXT, BINARY, CLOSE, PING, PONG, CONTINUATION = 0x1, 0x2, 0x8, 0x9, 0xA, 0x0
KEY = base64.b64encode(b"sixteen bytes ok").decode()


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


class Client:
    """One connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._received = b""

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def get(self, path: str, *lines: str) -> None:
        head = "\r\n".join([f"GET {path} HTTP/1.1", "Host: a", *lines, "", ""])
        self.send(head.encode())

    def answer(self) -> Answer:
        """Return the next answer; without a length it has no body."""
        head = self._take_until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        fields = (line.split(":", 1) for line in head[1:] if line)
        headers = {name.lower(): value.strip() for name, value in fields}
        length = int(headers.get("content-length", "0"))
        return Answer(int(head[0].split()[1]), headers, self._take(length))

    def upgrade(self, path: str, *lines: str, key: str = KEY, version: str = "13") -> Answer:
        self.ask_upgrade(path, *lines, key=key, version=version)
        return self.answer()

    def ask_upgrade(self, path: str, *lines: str, key: str = KEY, version: str = "13") -> None:
        self.get(
            path,
            "Connection: Upgrade",
            "Upgrade: websocket",
            f"Sec-WebSocket-Key: {key}",
            f"Sec-WebSocket-Version: {version}",
            *lines,
        )

    def frame(self) -> tuple[int, bytes]:
        """Return opcode and payload of the next frame that is none of the server's own pings.

        Raises `EOFError` at the end.
        """
        until = time.monotonic() + PATIENCE_SECONDS
        while (found := self._frame())[0] == PING:
            assert time.monotonic() < until, "nothing comes but pings"
        return found

    def close_code(self) -> int:
        """Read on to the close frame."""
        while True:
            opcode, payload = self.frame()
            if opcode == CLOSE:
                return int.from_bytes(payload[:2], "big")

    def rest(self) -> bytes:
        """Return all that comes until the server ends the connection."""
        while chunk := self._receive():
            self._received += chunk
        return self._received

    def seconds_until_closed(self) -> float:
        began = time.monotonic()
        self.rest()
        return time.monotonic() - began

    def _frame(self) -> tuple[int, bytes]:
        first, second = self._take(2)
        length = second & 0x7F
        if length >= 126:
            size, form = (2, "!H") if length == 126 else (8, "!Q")
            length = struct.unpack(form, self._take(size))[0]
        return first & 0x0F, self._take(length)

    def _receive(self) -> bytes:
        try:
            return self.socket.recv(65536)
        except (ConnectionResetError, BrokenPipeError):
            return b""

    def _take_until(self, end: bytes) -> bytes:
        while end not in self._received:
            self._fill()
        return self._take(self._received.index(end) + len(end))

    def _take(self, length: int) -> bytes:
        while len(self._received) < length:
            self._fill()
        taken, self._received = self._received[:length], self._received[length:]
        return taken

    def _fill(self) -> None:
        chunk = self._receive()
        if not chunk:
            raise EOFError(f"The server ended the connection after {self._received[:200]!r}.")
        self._received += chunk


@contextmanager
def connected(port: int, *, source: str = "127.0.0.1", buffer: int = 0) -> Iterator[Client]:
    """Connect from the address `source`; `buffer` is the receive buffer in bytes, 0 the system's."""
    with socket.socket() as connection:
        if buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        connection.settimeout(PATIENCE_SECONDS)
        connection.bind((source, 0))
        connection.connect(("127.0.0.1", port))
        yield Client(connection)


def frame(opcode: int, payload: bytes, *, fin: bool = True, rsv1: bool = False) -> bytes:
    """Return a client's frame."""
    return frame_head(opcode, len(payload), fin=fin, rsv1=rsv1) + payload


def frame_head(opcode: int, length: int, *, fin: bool = True, rsv1: bool = False) -> bytes:
    """Return a head masked with zeros, so that the payload goes as it is."""
    first = bytes([fin << 7 | rsv1 << 6 | opcode])
    if length < 126:
        size = bytes([0x80 | length])
    elif length < 65536:
        size = bytes([0x80 | 126]) + struct.pack("!H", length)
    else:
        size = bytes([0x80 | 127]) + struct.pack("!Q", length)
    return first + size + bytes(4)


def close_frame(code: int, reason: str = "") -> bytes:
    return frame(CLOSE, struct.pack("!H", code) + reason.encode())


def reset(connection: socket.socket) -> None:
    """Close with a reset in place of a proper end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()

"""What one client may send as fast as it can does not make another one wait."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

import pytest

from tests.e2e.hardening.client import BINARY, CONTINUATION, PING, PONG, TEXT, Client, frame
from tests.e2e.limits.server import Server, serving

pytestmark = pytest.mark.slow

FIELDS = b"Host: a\r\nX-User-Id: alice\r\nContent-Type: application/json\r\n"
GET = b"GET /api/v1/trial/work HTTP/1.1\r\n" + FIELDS
CHUNKED = b"POST /api/v1/trial/read HTTP/1.1\r\n" + FIELDS + b"Transfer-Encoding: chunked\r\n\r\n"
UNFINISHED = frame(BINARY, b"", fin=False)
# What is sent once, and what is sent again and again.
SOCKET_FLOODS = {
    "pings": (b"", frame(PING, b"")),
    "pongs": (b"", frame(PONG, b"")),
    "empty fragments": (UNFINISHED, frame(CONTINUATION, b"", fin=False)),
    "one-byte fragments": (UNFINISHED, frame(CONTINUATION, b"x", fin=False)),
    "messages": (b"", frame(TEXT, b"{}")),
}
HTTP_FLOODS = {
    "requests": (b"", GET + b"\r\n"),
    "large heads": (b"", GET + b"a:b\r\n" * 90 + b"\r\n"),
    "fields": (GET, b"a:b\r\n"),
    "empty lines": (b"", b"\r\n"),
    "one-byte chunks": (CHUNKED, b"1\r\nx\r\n"),
    "trailers": (CHUNKED + b"0\r\n", b"a:b\r\n" * 13_000 + b"\r\n"),
}
BLOCK_BYTES = 65_536
BYTES_A_SECOND = 2 * 1024 * 1024
FLOOD_SECONDS = 1.0
# 35 ms are what we find on a quiet machine, and 0.2 to 3 s without the limits of frames.
WAIT_SECONDS = 0.25


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as server:
        waits_of_another(server)  # Whatever is done but once is done now.
        yield server


def waits_of_another(server: Server) -> list[float]:
    """Ask for the liveness again and again; return the seconds that each answer took."""
    waits = []
    with server.connected() as client:
        until = time.monotonic() + FLOOD_SECONDS
        while (began := time.monotonic()) < until:
            client.get("/health/live")
            assert client.answer().status == 200
            waits.append(time.monotonic() - began)
            time.sleep(0.003)
    return sorted(waits)


@contextmanager
def flooding(client: Client, first: bytes, each: bytes) -> Iterator[None]:
    """Send without an end, and read what comes back."""
    over = Event()
    block = each * max(1, BLOCK_BYTES // len(each))

    def flood() -> None:
        with suppress(OSError):
            client.send(first)
            while not over.wait(len(block) / BYTES_A_SECOND):
                client.send(block)

    def read() -> None:
        with suppress(OSError):
            while client.socket.recv(BLOCK_BYTES):
                pass

    threads = [Thread(target=flood), Thread(target=read)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        with suppress(OSError):
            client.socket.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("kind", [*SOCKET_FLOODS, *HTTP_FLOODS])
def test_a_flood_does_not_make_another_client_wait(server: Server, kind: str) -> None:
    with server.connected() as client:
        if kind in SOCKET_FLOODS:
            client.upgrade("/api/v1/ws", "X-User-Id: alice")
        with flooding(client, *(SOCKET_FLOODS | HTTP_FLOODS)[kind]):
            waits = waits_of_another(server)

    slowest = waits[int(len(waits) * 0.99)]
    print(f"p99 of another client: {slowest * 1000:.1f} ms")  # noqa: T201 - for `pytest -s`
    assert slowest < WAIT_SECONDS

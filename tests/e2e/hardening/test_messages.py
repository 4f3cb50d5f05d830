"""The size of a WebSocket message, and what happens to one that has too much of it."""

import time
import zlib
from contextlib import suppress
from threading import Thread

import pytest

from tests.e2e.hardening.client import (
    BINARY,
    CONTINUATION,
    TEXT,
    Client,
    frame,
    frame_head,
)
from tests.e2e.hardening.server import serving

pytestmark = pytest.mark.slow

LIMIT = 64 * 1024
MEBIBYTE = 1024 * 1024


def test_a_message_as_large_as_the_limit_is_taken() -> None:
    with serving() as server, server.connected() as client:
        client.upgrade("/echo")

        client.send(frame(BINARY, bytes(LIMIT)))

        assert client.frame() == (BINARY, bytes(LIMIT))


def test_the_limit_counts_bytes_and_not_characters() -> None:
    with serving() as server, server.connected() as client:
        client.upgrade("/echo")

        client.send(frame(TEXT, "é".encode() * (LIMIT // 2 + 1)))

        assert client.close_code() == 1009
        server.program.wait_for("disconnect 1009")


@pytest.mark.parametrize("size", [64, pytest.param(600)], ids=["64 MiB", "600 MiB"])
@pytest.mark.parametrize("way", ["fragmented", "whole"])
def test_a_message_over_the_limit_costs_no_memory_and_ends_only_its_socket(
    size: int, way: str
) -> None:
    with serving() as server, server.connected() as other, server.connected() as client:
        other.upgrade("/echo")
        client.upgrade("/echo")
        before = server.memory()

        began = time.monotonic()
        sending = Thread(target=send_as_much_as_possible, args=(client, size, way == "fragmented"))
        sending.start()
        server.program.wait_for("disconnect 1009")
        assert time.monotonic() - began < 1.0
        sending.join()
        client.seconds_until_closed()

        assert time.monotonic() - began < 1.5
        assert server.memory() - before <= 32
        other.send(frame(TEXT, b"unharmed"))
        assert other.frame() == (TEXT, b"unharmed")


def send_as_much_as_possible(client: Client, size: int, fragmented: bool) -> None:
    """Send one message of `size` MiB until the connection is gone."""
    piece = bytes(MEBIBYTE)
    with suppress(ConnectionError):
        client.send(
            frame_head(BINARY, size * MEBIBYTE if not fragmented else 0, fin=not fragmented)
        )
        for _ in range(size):
            client.send(frame(CONTINUATION, piece, fin=False) if fragmented else piece)


def test_the_peer_of_a_message_over_the_limit_learns_why() -> None:
    with serving() as server, server.connected() as client:
        client.upgrade("/echo")

        client.send(frame(BINARY, bytes(LIMIT), fin=False) + frame(CONTINUATION, b"x"))

        began = time.monotonic()
        assert client.close_code() == 1009
        client.seconds_until_closed()
        assert time.monotonic() - began < 1.0


def test_compression_is_declined() -> None:
    with serving() as server, server.connected() as client:
        answer = client.upgrade("/echo", "Sec-WebSocket-Extensions: permessage-deflate")

        assert answer.status == 101
        assert "sec-websocket-extensions" not in answer.headers


def test_a_bomb_is_not_inflated() -> None:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = deflate.compress(bytes(512 * MEBIBYTE)) + deflate.flush(zlib.Z_SYNC_FLUSH)
    with serving() as server, server.connected() as client:
        client.upgrade("/echo", "Sec-WebSocket-Extensions: permessage-deflate")
        before = server.memory()

        with suppress(ConnectionError):
            client.send(frame(BINARY, bomb, rsv1=True))
        code = client.close_code()

        assert code == 1002, "a reserved bit that nothing was agreed about"
        assert server.memory() - before <= 32

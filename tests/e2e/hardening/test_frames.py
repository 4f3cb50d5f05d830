"""How many WebSocket frames a peer may send, whatever they carry."""

from collections.abc import Iterator
from contextlib import suppress
from threading import Thread

import pytest

from tests.e2e.hardening.client import BINARY, CONTINUATION, PING, PONG, TEXT, Client, frame
from tests.e2e.hardening.server import Server, cpu_seconds, serving

pytestmark = pytest.mark.slow

UNFINISHED = frame(BINARY, b"", fin=False)
FLOODS = {
    "pings": (b"", frame(PING, b"")),
    "pongs": (b"", frame(PONG, b"")),
    "empty messages": (b"", frame(TEXT, b"")),
    "empty fragments": (UNFINISHED, frame(CONTINUATION, b"", fin=False)),
    "one-byte fragments": (UNFINISHED, frame(CONTINUATION, b"x", fin=False)),
}
FLOOD_FRAMES = 200_000
LIMIT = 64 * 1024


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


def send_until_closed(client: Client, data: bytes) -> None:
    with suppress(OSError):
        client.send(data)


@pytest.mark.parametrize("kind", FLOODS)
def test_a_flood_of_frames_ends_its_socket_and_costs_no_time(server: Server, kind: str) -> None:
    first, each = FLOODS[kind]
    with server.connected() as other, server.connected() as client:
        other.upgrade("/echo")
        client.upgrade("/echo")
        before = cpu_seconds(server.pid)

        sending = Thread(target=send_until_closed, args=(client, first + each * FLOOD_FRAMES))
        sending.start()
        assert client.close_code() == 4429
        server.program.wait_for("disconnect 4429 too many frames")
        client.rest()
        sending.join()

        # To parse them all takes 2 seconds.
        assert cpu_seconds(server.pid) - before < 0.5
        other.send(frame(TEXT, b"unharmed"))
        assert other.frame() == (TEXT, b"unharmed")


@pytest.mark.parametrize("size", [LIMIT // 16, LIMIT // 1024], ids=["16 pieces", "1024 pieces"])
def test_a_large_message_may_come_in_fragments(server: Server, size: int) -> None:
    messages = 50 if size == LIMIT // 16 else 1
    first, *middle = [bytes(size)] * (LIMIT // size - 1)
    message = b"".join(
        [
            frame(BINARY, first, fin=False),
            *(frame(CONTINUATION, piece, fin=False) for piece in middle),
            frame(CONTINUATION, bytes(size)),
        ]
    )
    with server.connected() as client:
        client.upgrade("/echo")

        for _ in range(messages):
            client.send(message)
            assert client.frame() == (BINARY, bytes(LIMIT))


def test_a_peer_may_ping_now_and_then(server: Server) -> None:
    with server.connected() as client:
        client.upgrade("/echo")

        for number in range(50):
            client.send(frame(PING, b"%d" % number))
            assert client.frame() == (PONG, b"%d" % number)


def test_frames_behind_the_first_hundreds_are_not_left_lying(server: Server) -> None:
    with server.connected() as client:
        client.upgrade("/echo")

        client.send(frame(TEXT, b"x") * 1000)

        assert [client.frame() for _ in range(1000)] == [(TEXT, b"x")] * 1000

"""Bodies that are too large or too slow, and answers that do not wait for them."""

import json
import signal
import time
from collections.abc import Iterator

import pytest

from tests.e2e.hardening.client import Client
from tests.e2e.hardening.server import eventually
from tests.e2e.limits.server import Server, serving

pytestmark = pytest.mark.slow

LARGE = 500 * 1024 * 1024
PIECE = 256 * 1024
JSON_TYPE = b"Content-Type: application/json"
JSON = b"Host: a\r\nX-User-Id: alice\r\n" + JSON_TYPE + b"\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CHUNK = b"%x\r\n%b\r\n" % (PIECE, bytes(PIECE))


def head(path: str, *fields: bytes) -> bytes:
    return b"POST /api/v1/trial/%b HTTP/1.1\r\n%b\r\n" % (path.encode(), JSON + b"".join(fields))


def length(size: int) -> bytes:
    return b"Content-Length: %d\r\n" % size


def push(client: Client, piece: bytes, total: int) -> int:
    """Send as much as the server takes; return how much that was."""
    sent = 0
    try:
        while sent < total:
            client.send(piece)
            sent += len(piece)
    except OSError:
        pass
    return sent


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        (b"application/json;charset=utf-8;", 200),
        (b'application/json; profile="a;b"', 200),
        (b"application/problem+json", 200),
        (b"+json", 415),
        (b"application/json; charset=utf-8; charset=latin-1", 415),
    ],
)
def test_a_body_is_json_by_its_media_type(server: Server, content_type: bytes, status: int) -> None:
    request = head("read", length(12)).replace(JSON_TYPE, b"Content-Type: " + content_type)
    with server.connected() as client:
        client.send(request + b'{"text": ""}')

        assert client.answer().status == status


@pytest.mark.parametrize("framing", [length(LARGE), CHUNKED])
@pytest.mark.parametrize("path", ["read", "unread"])
def test_a_body_of_500_mib_costs_no_memory(framing: bytes, path: str) -> None:
    with serving() as server:
        memory, files = server.memory(), server.files()
        with server.connected() as client:
            client.send(head(path, framing))
            push(client, CHUNK if framing == CHUNKED else bytes(PIECE), LARGE)

        eventually(lambda: server.files() <= files, within=6)
        assert server.memory() - memory <= 16


@pytest.mark.parametrize("framing", [length(LARGE), CHUNKED])
def test_a_body_too_large_is_refused_while_it_is_sent(server: Server, framing: bytes) -> None:
    with server.connected() as client:
        client.send(head("read", framing))
        for _ in range(5):
            client.send(CHUNK)
        answer = client.answer()

        assert (answer.status, answer.json["code"]) == (413, "payload_too_large")
        assert answer.headers["connection"] == "close"
        client.rest()


def test_the_rest_of_a_refused_body_is_taken_so_that_the_answer_can_be_read(server: Server) -> None:
    with server.connected() as client:
        client.send(head("read", length(LARGE)))
        time.sleep(0.5)  # The answer is there, and this client has not looked for it yet.
        client.send(bytes(512 * 1024))
        time.sleep(0.5)
        client.send(bytes(256 * 1024))

        assert client.answer().status == 413


def test_the_rest_of_an_unread_body_is_not_waited_for_for_ever(server: Server) -> None:
    with server.connected() as client:
        client.send(head("unread", length(1000)))
        answer = client.answer()

        assert answer.status == 200
        assert answer.headers["connection"] == "close"
        assert 1.5 < client.seconds_until_closed() < 4


def test_an_unread_body_that_has_come_leaves_the_connection_as_it_is(server: Server) -> None:
    with server.connected() as client:
        for _ in range(2):
            client.send(head("unread", length(4)) + b"null")
            answer = client.answer()

            assert answer.status == 200
            assert "connection" not in answer.headers


def test_an_operation_may_take_larger_bodies_than_others(server: Server) -> None:
    body = json.dumps({"text": "x" * 3_000_000}).encode()
    with server.connected() as client:
        client.send(head("large", length(len(body))) + body)
        assert client.answer().json == {"size": 3_000_000}
        client.send(head("large", length(5_000_000)))
        assert client.answer().json["details"] == {"max_bytes": 4 * 1024 * 1024}


def test_a_slow_body_is_cut_off_however_regularly_it_trickles() -> None:
    with serving(http={"body_timeout": 1.0}) as server, server.connected() as client:
        began = time.monotonic()
        client.send(head("read", length(1000)))
        while time.monotonic() < began + 0.9:
            client.send(b" ")
            time.sleep(0.1)
        answer = client.answer()

        assert 0.9 < time.monotonic() - began < 2
        assert (answer.status, answer.json["code"]) == (408, "body_timeout")
        assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("path", ["read", "unread"])
def test_a_stop_does_not_wait_for_bodies(path: str) -> None:
    with serving() as server, server.connected() as client:
        client.send(head(path, length(LARGE)))
        assert client.answer().status in (200, 413)
        began = time.monotonic()
        server.program.signal(signal.SIGTERM)

        assert server.program.exit_code() == 0
        assert time.monotonic() - began < 6

"""HTTP/1.1 as it should not be: each request is refused or understood as RFC 9112 says."""

import time
from collections.abc import Iterator

import pytest

from tests.e2e.hardening.server import Server, serving

pytestmark = pytest.mark.slow

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKED = b"POST /show HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


def asked(*lines: bytes, body: bytes = b"") -> bytes:
    return b"\r\n".join([*lines, b"", b""]) + body


REFUSED = {
    "length and chunks": (
        asked(
            b"POST /show HTTP/1.1",
            b"Host: a",
            b"Content-Length: 5",
            b"Transfer-Encoding: chunked",
            body=b"0\r\n\r\n",
        ),
        {400},
    ),
    "chunks and length": (
        asked(
            b"POST /show HTTP/1.1",
            b"Host: a",
            b"Transfer-Encoding: chunked",
            b"Content-Length: 0",
            body=b"0\r\n\r\n",
        ),
        {400},
    ),
    "chunks in HTTP/1.0": (
        asked(b"POST /show HTTP/1.0", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
        {400},
    ),
    "space in Host": (asked(b"GET /show HTTP/1.1", b"Host: a b"), {400}),
    "path in Host": (asked(b"GET /show HTTP/1.1", b"Host: a/b"), {400}),
    "user in Host": (asked(b"GET /show HTTP/1.1", b"Host: me@a"), {400}),
    "words for a port": (asked(b"GET /show HTTP/1.1", b"Host: a:b"), {400}),
    "no such port": (asked(b"GET /show HTTP/1.1", b"Host: a:65536"), {400}),
    "no Host": (asked(b"GET /show HTTP/1.1"), {400}),
    "two Hosts": (asked(b"GET /show HTTP/1.1", b"Host: a", b"Host: b"), {400}),
    "user in the target": (asked(b"GET http://me@a/show HTTP/1.1", b"Host: a"), {400}),
    "no path": (asked(b"GET show HTTP/1.1", b"Host: a"), {400}),
    "method in small letters": (asked(b"get /show HTTP/1.1", b"Host: a"), {400, 501}),
    "HTTP/2.0": (asked(b"GET /show HTTP/2.0", b"Host: a"), {505}),
    "HTTP/9.9": (asked(b"GET /show HTTP/9.9", b"Host: a"), {505}),
    "HTTP/2 at once": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", {505}),
    "NUL in a chunk extension": (CHUNKED + b"1;a=\0\r\nx\r\n0\r\n\r\n", {400}),
    "CR in a chunk extension": (CHUNKED + b"1;a=\rb\r\nx\r\n0\r\n\r\n", {400}),
    "LF for the end of a chunk's size": (CHUNKED + b"1\nx\r\n0\r\n\r\n", {400}),
    "no such chunk size": (CHUNKED + b"-1\r\nx\r\n0\r\n\r\n", {400}),
    "chunk too long": (CHUNKED + b"1\r\nxyz\r\n0\r\n\r\n", {400}),
    "NUL in a field": (asked(b"GET /show HTTP/1.1", b"Host: a", b"X: a\0b"), {400}),
    "CR in a field": (asked(b"GET /show HTTP/1.1", b"Host: a", b"X: a\rb"), {400}),
    "space before the colon": (asked(b"GET /show HTTP/1.1", b"Host: a", b"X : a"), {400}),
    "folded field": (asked(b"GET /show HTTP/1.1", b"Host: a", b"X: a", b" b"), {400}),
    "folded Transfer-Encoding": (
        asked(b"POST /show HTTP/1.1", b"Host: a", b"Transfer-Encoding:", b"\tchunked")
        + b"0\r\n\r\n",
        {400},
    ),
    "fold before the first field": (asked(b"GET /show HTTP/1.1", b" Host: a"), {400}),
    "NUL in the target": (asked(b"GET /sh\0ow HTTP/1.1", b"Host: a"), {400}),
    "fragment in the target": (asked(b"GET /show#a HTTP/1.1", b"Host: a"), {400}),
    "only a fragment": (asked(b"GET # HTTP/1.1", b"Host: a"), {400}),
    "fragment after a query": (asked(b"GET /show?a#b HTTP/1.1", b"Host: a"), {400}),
    "fragment after a long host": (
        asked(b"GET http://" + b"a" * 16_000 + b"# HTTP/1.1", b"Host: a"),
        {400},
    ),
    "CR in the target": (asked(b"GET /sh\row HTTP/1.1", b"Host: a"), {400}),
    "signed length": (asked(b"POST /show HTTP/1.1", b"Host: a", b"Content-Length: +0"), {400}),
    "endless length": (
        asked(b"POST /show HTTP/1.1", b"Host: a", b"Content-Length: " + b"9" * 30),
        {400},
    ),
    "endless chunk": (CHUNKED + b"f" * 21 + b"\r\nx\r\n0\r\n\r\n", {400}),
    "long chunk extension": (CHUNKED + b"1;" + b"a" * 2000 + b"\r\nx\r\n0\r\n\r\n", {400}),
    "NUL after blanks in a chunk extension": (CHUNKED + b"1;" + b" " * 60_000 + b"\0\r\n", {400}),
    "NUL in a trailer": (CHUNKED + b"0\r\nX: \0\r\n\r\n", {400}),
    "LF for the end of a trailer": (CHUNKED + b"0\r\nX: y\n\r\n", {400}),
    "LF for the end of a trailer in the middle": (CHUNKED + b"0\r\nX: y\nZ: y\r\n\r\n", {400}),
    "LF for the end of all trailers": (CHUNKED + b"0\r\nX: y\r\n\n", {400}),
    "LF in place of trailers": (CHUNKED + b"0\r\n\n", {400}),
    "folded trailer": (CHUNKED + b"0\r\nX: y\r\n z\r\n\r\n", {400}),
    "fold before the first trailer": (CHUNKED + b"0\r\n X: y\r\n\r\n", {400}),
    "trailers too large": (CHUNKED + b"0\r\n" + b"X: y\r\n" * 10_000 + b"\r\n", {431}),
    "HTTP/0.9": (b"GET /show\r\n\r\n", {400}),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(50) + b"\r\n\r\n", {400}),
    "other coding": (
        asked(b"POST /show HTTP/1.1", b"Host: a", b"Transfer-Encoding: gzip, chunked"),
        {501},
    ),
    "two lengths": (
        asked(b"POST /show HTTP/1.1", b"Host: a", b"Content-Length: 5", b"Content-Length: 6"),
        {400},
    ),
    "many fields": (
        asked(b"GET /show HTTP/1.1", b"Host: a", *[b"X: y"] * 200),
        {431},
    ),
    "a large field at once": (
        asked(b"GET /show HTTP/1.1", b"Host: a", b"X: " + b"y" * 20_000),
        {431},
    ),
    "a field without end": (b"GET /show HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 100_000, {431}),
}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving(limits={"head_timeout": 1.0, "keep_alive_timeout": 1.0}) as server:
        yield server


@pytest.mark.parametrize("name", REFUSED)
def test_a_malformed_request_is_refused_and_nothing_after_it_runs(
    server: Server, name: str
) -> None:
    request, expected = REFUSED[name]

    with server.connected() as client:
        client.send(request + SMUGGLED)
        answer = client.answer()
        rest = client.rest()

    assert answer.status in expected
    assert rest == b"", "a second answer on a poisoned connection"
    assert server.state()["tasks"]
    assert "ran /smuggled" not in server.program.output
    assert "Traceback" not in server.program.output


@pytest.mark.parametrize(
    "pieces",
    [
        (b"0\r\n\r\n",),
        (b"0\r\nX: y\r\nZ:\r\n\r\n",),
        (b"0\r\n", b"X: y\r", b"\n\r", b"\n"),
        (b'1;a=b; c="d e" \r\nx\r\n', b"0 ;a\r\n\r", b"\n"),
    ],
)
def test_a_chunked_body_ends_after_its_trailers(server: Server, pieces: tuple[bytes, ...]) -> None:
    with server.connected() as client:
        for piece in (CHUNKED, *pieces):
            client.send(piece)
            time.sleep(0.02)  # So that it comes as a piece of its own.
        assert client.answer().status == 200

        client.get("/show")
        assert client.answer().status == 200


def test_a_request_for_a_proxy_is_understood(server: Server) -> None:
    with server.connected() as client:
        client.send(b"GET http://b:81/show?x=1 HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = client.answer()

    assert answer.status == 200
    assert answer.json == {"method": "GET", "host": "b:81", "read": 0}


def test_a_minor_version_of_the_future_is_treated_as_ours(server: Server) -> None:
    with server.connected() as client:
        client.send(b"GET /show HTTP/1.2\r\nHost: a\r\n\r\n")

        assert client.answer().status == 200


def test_empty_lines_before_a_request_are_ignored(server: Server) -> None:
    with server.connected() as client:
        client.send(b"\r\n\r")
        client.send(b"\n" + b"GET /show HTTP/1.1\r\nHost: a\r\n\r\n\r\n")
        assert client.answer().status == 200

        client.get("/show")
        assert client.answer().status == 200


def test_what_follows_a_last_request_is_not_looked_at(server: Server) -> None:
    with server.connected() as client:
        client.get("/show", "Connection: close\r\n\r\nGET /smuggled HTTP/1.1")

        assert client.answer().status == 200
        assert client.rest() == b""
    server.state()
    assert "ran /smuggled" not in server.program.output


def test_an_offer_of_http_2_is_not_taken_up(server: Server) -> None:
    with server.connected() as client:
        client.get(
            "/show", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAA"
        )

        assert client.answer().status == 200


ASKING = b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"


def test_a_body_that_the_app_wants_is_invited_once(server: Server) -> None:
    with server.connected() as client:
        client.send(ASKING % b"/show")
        assert client.answer().status == 100
        client.send(b"bo")
        client.send(b"dy")

        assert client.answer().json["read"] == 4
        client.get("/show")
        assert client.answer().status == 200


def test_a_body_that_nobody_wants_is_not_invited(server: Server) -> None:
    with server.connected() as client:
        client.send(ASKING % b"/unread")

        assert client.answer().status == 200


def test_a_body_that_comes_without_an_invitation_needs_none(server: Server) -> None:
    with server.connected() as client:
        client.send(ASKING % b"/show" + b"body")

        assert client.answer().json["read"] == 4


@pytest.mark.parametrize(
    "body", [b"Content-Length: 10\r\n\r\nhalf", b"Transfer-Encoding: chunked\r\n\r\n5\r\nhalf"]
)
def test_a_body_that_ends_half_way_is_no_fault_of_ours(server: Server, body: bytes) -> None:
    with server.connected() as client:
        client.send(b"POST /show HTTP/1.1\r\nHost: a\r\n" + body)
        client.socket.shutdown(1)
        received = client.rest()

    assert received == b"" or received.startswith(b"HTTP/1.1 400")
    server.state()
    assert "Traceback" not in server.program.output

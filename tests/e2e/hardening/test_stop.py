"""A stop ends, on every loop, whatever the peers and the handlers do."""

import time
from contextlib import suppress

import pytest

from tests.e2e.hardening.client import Client
from tests.e2e.hardening.server import Server, eventually, serving

pytestmark = pytest.mark.slow

DRAIN = 1.0
on_both_loops = pytest.mark.parametrize("loop", ["uvloop", "asyncio"])


def post_large(client: Client, path: str) -> None:
    """Send more than any queue holds, as far as the server takes it."""
    client.socket.settimeout(1.0)
    with suppress(TimeoutError, ConnectionError):
        client.send(f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 8000000\r\n\r\n".encode())
        client.send(bytes(8_000_000))


def assert_stops(server: Server, *, within: float) -> None:
    began = time.monotonic()
    server.program.signal()
    assert server.program.exit_code() == 0
    assert time.monotonic() - began < within
    assert "stopped" in server.program.output
    assert "Traceback" not in server.program.output


@on_both_loops
def test_an_answer_without_reading_the_body_leaves_nothing(loop: str) -> None:
    with serving(loop=loop) as server:
        before = server.state()
        with server.connected() as client:
            post_large(client, "/unread")
            with suppress(EOFError):
                assert client.answer().status == 200

            eventually(lambda: server.state() == before, within=3)
        assert_stops(server, within=1)


@on_both_loops
def test_open_sockets_do_not_keep_the_server(loop: str) -> None:
    with serving(loop=loop, drain_timeout=DRAIN) as server, server.connected() as client:
        client.upgrade("/echo")
        server.program.wait_for("accepting")

        assert_stops(server, within=DRAIN + 1.5)


@on_both_loops
def test_a_long_request_does_not_keep_the_server(loop: str) -> None:
    with serving(loop=loop, drain_timeout=DRAIN) as server, server.connected() as client:
        client.get("/endless")
        server.program.wait_for("endless")

        assert_stops(server, within=DRAIN + 1.5)


@on_both_loops
def test_an_unread_body_does_not_keep_the_server(loop: str) -> None:
    with serving(loop=loop, drain_timeout=DRAIN) as server, server.connected() as client:
        post_large(client, "/endless")

        assert_stops(server, within=DRAIN + 1.5)


@on_both_loops
def test_a_peer_that_does_not_read_does_not_keep_the_server(loop: str) -> None:
    with serving(loop=loop, drain_timeout=DRAIN) as server, server.connected() as client:
        client.upgrade("/flood")
        time.sleep(0.5)  # Until the buffers are full; nothing tells.

        assert_stops(server, within=DRAIN + 1.5)


@on_both_loops
def test_a_socket_closed_shortly_before_does_not_keep_the_server(loop: str) -> None:
    with serving(loop=loop, drain_timeout=10) as server:
        with server.connected() as client:
            client.upgrade("/echo")

        server.program.wait_for("disconnect")
        assert_stops(server, within=1)


@on_both_loops
def test_a_request_that_was_on_its_way_at_the_stop_is_answered(loop: str) -> None:
    with serving(loop=loop) as server, server.connected() as client:
        client.get("/show")
        assert client.answer().status == 200

        server.program.signal()
        time.sleep(0.05)  # The signal is faster than the request.
        client.get("/show")

        assert client.answer().status == 200
        assert client.seconds_until_closed() < 1
        assert server.program.exit_code() == 0

"""Clients that break off, and a server without descriptors: few lines in the log, no harm done."""

from contextlib import ExitStack, suppress

import pytest

from tests.e2e.hardening.client import TEXT, frame, reset
from tests.e2e.hardening.server import Server, eventually, serving

pytestmark = pytest.mark.slow

on_both_loops = pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
ABORTED = [
    b"",
    b"GET /show HT",
    b"POST /show HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nhalf",
    b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /show HTTP/1.1\r\nHost: a\r\n\r\n",
]
SILENT_LINES = ("ran ", "large answer", "accepting", "disconnect", "waiting", "Process ")


def log_lines(server: Server) -> list[str]:
    """Return what the server has said that the program itself did not."""
    server.program.signal()
    assert server.program.exit_code() == 0
    lines = server.program.seen
    return [line for line in lines if not line.startswith((*SILENT_LINES, "stopped"))]


@on_both_loops
def test_a_thousand_aborts_leave_no_trace(loop: str) -> None:
    with serving(loop=loop, drain_timeout=2) as server:
        before = server.state()
        for number in range(1000):
            with server.connected() as client:
                if number % 6 < 5:
                    client.send(ABORTED[number % 6])
                else:
                    client.upgrade("/echo")
                    client.send(frame(TEXT, bytes(50_000)) * 3)
                reset(client.socket)

        eventually(lambda: server.state() == before, within=10)
        assert log_lines(server) == []


@on_both_loops
def test_a_flood_of_connections_over_the_descriptors_harms_nobody(loop: str) -> None:
    limits = {"head_timeout": 2.0}
    with serving(loop=loop, max_files=256, limits=limits) as server, server.connected() as open_one:
        open_one.upgrade("/echo")
        with ExitStack() as flood:
            for _ in range(600):
                with suppress(OSError):
                    flood.enter_context(server.connected())

            for _ in range(20):
                open_one.send(frame(TEXT, b"unharmed"))
                assert open_one.frame() == (TEXT, b"unharmed")

        eventually(lambda: is_served(server), within=10)
        assert len(log_lines(server)) <= 10


def is_served(server: Server) -> bool:
    with suppress(OSError, EOFError), server.connected() as client:
        client.get("/show")
        return client.answer().status == 200
    return False

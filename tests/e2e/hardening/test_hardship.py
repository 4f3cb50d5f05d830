"""Clients that break off, and a server without descriptors: few lines in the log, no harm done."""

import json
import re
import resource
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.e2e.hardening.client import TEXT, Client, connected, frame, reset
from tests.e2e.hardening.server import Server, eventually, serving
from tests.e2e.limits import server as limits_server

pytestmark = pytest.mark.slow

on_both_loops = pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
ABORTED = [
    b"",
    b"GET /show HT",
    b"POST /show HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nhalf",
    b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /show HTTP/1.1\r\nHost: a\r\n\r\n",
]
REFUSED = re.compile(r"Connections were refused \{'refused': (\d+),")
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
        with ExitStack() as stack:
            flood = [stack.enter_context(server.connected()) for _ in range(600)]

            for _ in range(20):
                open_one.send(frame(TEXT, b"unharmed"))
                assert open_one.frame() == (TEXT, b"unharmed")
            began = time.monotonic()
            closed = sum(client.rest() == b"" for client in flood)
            assert time.monotonic() - began < 10, "the refused are closed, the others time out"

        assert closed == 600
        eventually(lambda: is_served(server), within=10)
        lines = log_lines(server)

    assert 1 <= len(lines) <= 3
    counts = [int(REFUSED.search(line)[1]) for line in lines]  # type: ignore[index]
    assert 600 - 256 < sum(counts) < 600


def test_refusals_at_both_ports_are_one_line_a_period() -> None:
    with limits_server.serving() as server, ExitStack() as stack:
        leave_no_descriptor(server)
        while not is_refused(stack.enter_context(server.connected())):
            pass  # Those took the descriptors that were left.
        for _ in range(50):
            for port in (server.port, server.program.admin_port):
                assert is_refused(stack.enter_context(connected(port)))
        server.program.wait_for("Connections were refused")
        line = json.loads(server.program.seen[-1])
        server.program.signal()
        assert server.program.exit_code() == 0

    assert (line["refused"], line["reason"]) == (101, "[Errno 24] Too many open files")
    assert server.program.output.count("refused") == 2, "in the message and as a field"


def is_refused(client: Client) -> bool:
    try:
        client.get("/health/live")
        return client.answer().status != 200
    except (EOFError, ConnectionError):
        return True


def leave_no_descriptor(server: Server) -> None:
    """Leave the server those it has open, and any with a lower number."""
    highest = max(int(file.name) for file in Path(f"/proc/{server.pid}/fd").iterdir())
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (highest + 1, highest + 1))


def is_served(server: Server) -> bool:
    with suppress(OSError, EOFError), server.connected() as client:
        client.get("/show")
        return client.answer().status == 200
    return False

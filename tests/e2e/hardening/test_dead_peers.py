"""Peers that end without a word: they are noticed, forgotten, and nobody else is."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import httpx2
import pytest
from websockets.sync.client import connect

from tests.e2e.hardening.link import Link, NoLink, linked
from tests.e2e.hardening.server import Server, eventually, serving

pytestmark = pytest.mark.slow

SESSIONS = "tests.e2e.hardening.sessions"
PING_SECONDS = 1.0
HASTY = {"ping_interval": PING_SECONDS, "pong_timeout": 2 * PING_SECONDS}
SOCKETS = 5
# Each socket has a thread that answers pings.
PEER = f"""
import sys
from websockets.sync.client import connect
opened = [connect(sys.argv[1], ping_interval=None) for _ in range({SOCKETS})]
print("connected", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def link() -> Iterator[Link]:
    with ExitStack() as stack:
        try:
            link = stack.enter_context(linked())
        except NoLink as reason:
            pytest.skip(f"no network namespaces here: {reason}")
        yield link


@contextmanager
def connected(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """Run a peer that has opened its sockets."""
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as peer:
        try:
            assert peer.stdout is not None
            assert peer.stdout.readline() == "connected\n"
            yield peer
        finally:
            peer.kill()


def url(server: Server, host: str) -> str:
    return f"ws://{host}:{server.port}/api/v1/ws?user=alice"


def held(server: Server, host: str) -> int:
    """Return the number of sockets in the server's registry."""
    answer = httpx2.get(
        f"http://{host}:{server.port}/api/v1/trial/held", headers={"x-user-id": "alice"}
    )
    found: int = answer.json()["sockets"]
    return found


def assert_only_the_dead_are_dropped(
    server: Server, host: str, cut_off: Callable[[], None]
) -> None:
    """The peer's sockets are open already; the live ones say nothing but answers to pings."""
    with ExitStack() as live:
        for _ in range(SOCKETS):
            live.enter_context(connect(url(server, host), ping_interval=None))
        assert held(server, host) == 2 * SOCKETS

        cut_off()
        waited = eventually(lambda: held(server, host) == SOCKETS)

        assert waited < 2 * PING_SECONDS + 1.0
        time.sleep(3 * PING_SECONDS)  # The length of the silence is what is tested.
        assert held(server, host) == SOCKETS
    eventually(lambda: held(server, host) == 0)


@pytest.mark.skipif(sys.platform == "win32", reason="Stops a process by a POSIX signal.")
def test_stopped_peers_are_dropped_and_live_ones_stay() -> None:
    with serving(SESSIONS, sockets=HASTY) as server:
        command = [sys.executable, "-c", PEER, url(server, "127.0.0.1")]
        with connected(command) as peer:
            assert_only_the_dead_are_dropped(
                server, "127.0.0.1", lambda: peer.send_signal(signal.SIGSTOP)
            )


def test_peers_behind_a_link_that_drops_all_are_dropped_and_live_ones_stay(link: Link) -> None:
    with serving(SESSIONS, host=link.host, sockets=HASTY) as server:
        command = link.over_there(sys.executable, "-c", PEER, url(server, link.host))
        with connected(command):
            assert_only_the_dead_are_dropped(server, link.host, link.cut)

"""Ports: owning one, and losing it before it listens."""

import asyncio
import socket
import sys

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from platform_api.server.binding import USER_TIMEOUT_MILLISECONDS, address_of, bind
from platform_api.server.hardening.limits import Limits
from platform_api.server.hypercorn import serve
from platform_api.server.listener import Listener
from platform_api.server.loop import new_loop
from platform_config import HttpSettings, SocketsSettings
from platform_domain.startup import StartupError

LIMITS = Limits.of(HttpSettings(), SocketsSettings())


def test_a_bound_port_does_not_take_connections_yet() -> None:
    with bind("127.0.0.1", 0) as bound, pytest.raises(ConnectionRefusedError):
        socket.create_connection(bound.getsockname(), timeout=1)


@pytest.mark.skipif(sys.platform != "linux", reason="Other systems refuse the second bind.")
@pytest.mark.anyio
async def test_a_port_lost_between_bind_and_listen_is_told_in_a_sentence() -> None:
    with bind("127.0.0.1", 0) as ours, bind(*ours.getsockname()) as theirs:
        theirs.listen()
        listener = Listener(PlainTextResponse("ours"), ours, drain_timeout=1, limits=LIMITS)
        ended = asyncio.Event()

        with pytest.raises(StartupError, match="is already in use"):
            await listener.open(on_end=ended.set)

        await asyncio.wait_for(ended.wait(), 5)


@pytest.mark.skipif(sys.platform == "win32", reason="A socket is handed on to workers only.")
@pytest.mark.parametrize("turns", range(6))
def test_who_is_accepted_in_the_last_instant_is_answered_the_next_is_left_to_others(
    turns: int,
) -> None:
    """`turns` of the loop after the stop a client comes to a socket that somebody else has too."""
    with bind("127.0.0.1", 0) as bound, asyncio.Runner(loop_factory=new_loop) as runner:
        others = bound.dup()
        with others, runner.run(client_at_the_stop(bound, turns)) as client:
            others.settimeout(0)
            try:
                others.accept()[0].close()
            except BlockingIOError:
                assert client.recv(15) == b"HTTP/1.1 200 \r\n"


async def client_at_the_stop(bound: socket.socket, turns: int) -> socket.socket:
    """Return a client that has sent a request, when the server has stopped."""
    listening, stop = asyncio.Event(), asyncio.Event()
    address = bound.getsockname()
    serving = asyncio.create_task(
        serve(
            answer_soon,
            [bound],
            stop=stop,
            on_listening=listening.set,
            drain_timeout=5,
            limits=LIMITS,
        )
    )
    await listening.wait()
    stop.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    client = socket.create_connection(address, timeout=5)
    client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    await serving
    return client


async def answer_soon(scope: Scope, receive: Receive, send: Send) -> None:
    await asyncio.sleep(0.01)
    await PlainTextResponse("late")(scope, receive, send)


def test_accepted_connections_notice_a_dead_peer() -> None:
    with bind("127.0.0.1", 0) as bound:
        bound.listen()
        with socket.create_connection(bound.getsockname()), bound.accept()[0] as accepted:
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                option = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
                assert option == USER_TIMEOUT_MILLISECONDS


@pytest.mark.skipif(not socket.has_ipv6, reason="Needs IPv6.")
def test_an_ipv6_address_is_written_as_in_a_url() -> None:
    try:
        bound = bind("::1", 0)
    except StartupError as error:
        pytest.skip(str(error))

    with bound:
        assert address_of(bound) == f"[::1]:{bound.getsockname()[1]}"

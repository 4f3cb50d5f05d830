"""Ports: owning one, and losing it before it listens."""

import asyncio
import socket
import sys

import pytest
from starlette.responses import PlainTextResponse

from platform_api.server.binding import USER_TIMEOUT_MILLISECONDS, address_of, bind
from platform_api.server.listener import Listener
from platform_domain.startup import StartupError


def test_a_bound_port_does_not_take_connections_yet() -> None:
    with bind("127.0.0.1", 0) as bound, pytest.raises(ConnectionRefusedError):
        socket.create_connection(bound.getsockname(), timeout=1)


@pytest.mark.skipif(sys.platform != "linux", reason="Other systems refuse the second bind.")
@pytest.mark.anyio
async def test_a_port_lost_between_bind_and_listen_is_told_in_a_sentence() -> None:
    with bind("127.0.0.1", 0) as ours, bind(*ours.getsockname()) as theirs:
        theirs.listen()
        listener = Listener(PlainTextResponse("ours"), ours, drain_timeout=1)
        ended = asyncio.Event()

        with pytest.raises(StartupError, match="is already in use"):
            await listener.open(on_end=ended.set)

        await asyncio.wait_for(ended.wait(), 5)


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

"""How a WebSocket ends: by a code, by silence, by a peer or a handler that does not care."""

import time
from contextlib import suppress

import pytest
from websockets.sync.client import connect

from platform_api.realtime.close_codes import CloseCode
from tests.e2e.hardening.client import CLOSE, PING, PONG, TEXT, close_frame, frame
from tests.e2e.hardening.server import eventually, serving

pytestmark = pytest.mark.slow

HASTY = {"ping_interval": 0.5, "pong_timeout": 1.0}


def test_the_app_learns_with_which_code_the_client_closed() -> None:
    with serving() as server, server.connected() as client:
        client.upgrade("/echo")

        client.send(close_frame(4321, "going home"))

        assert client.close_code() == 4321
        server.program.wait_for("disconnect 4321 going home")


def test_the_app_learns_that_the_client_vanished() -> None:
    with serving() as server:
        with server.connected() as client:
            client.upgrade("/echo")

        server.program.wait_for("disconnect 1006")


def test_a_frame_that_breaks_the_protocol_is_answered_with_what_is_wrong() -> None:
    with serving() as server, server.connected() as client:
        client.upgrade("/echo")

        client.send(frame(TEXT, b"\xff"))

        assert client.close_code() == 1007


def test_a_silent_peer_is_dropped_and_told() -> None:
    with serving(limits=HASTY) as server, server.connected() as client:
        client.upgrade("/echo")
        began = time.monotonic()

        assert client.close_code() == CloseCode.HEARTBEAT_LOST
        client.rest()

        assert time.monotonic() - began < 2 * HASTY["ping_interval"] + 1.0
        server.program.wait_for("disconnect 4408 heartbeat lost")


def test_a_peer_that_only_answers_pings_stays() -> None:
    with (
        serving(limits=HASTY) as server,
        connect(f"ws://127.0.0.1:{server.port}/echo", ping_interval=None) as socket,
    ):
        time.sleep(2.5 * HASTY["pong_timeout"])  # The length of the silence is what is tested.

        socket.send("still here")

        assert socket.recv(timeout=5) == "still here"


def test_no_task_is_left_of_closed_sockets() -> None:
    with serving() as server:
        before = server.tasks()
        for _ in range(20):
            with server.connected() as client:
                client.upgrade("/echo")
                client.send(close_frame(1000))
                client.rest()

        eventually(lambda: server.tasks() <= before, within=3)


def test_a_handler_that_does_not_read_keeps_neither_pings_nor_the_close_waiting() -> None:
    with serving() as server, server.connected() as client:
        client.upgrade("/ignore")

        client.send(frame(TEXT, b"unread") * 100 + frame(PING, b"are you there?"))
        assert client.frame() == (PONG, b"are you there?")
        client.send(close_frame(1000))
        assert client.frame()[0] == CLOSE


def test_a_flood_that_a_handler_ignores_leaves_no_task() -> None:
    with serving() as server:
        before = server.tasks()
        with server.connected() as client:
            client.upgrade("/ignore")
            with suppress(ConnectionError, TimeoutError):
                client.socket.settimeout(0.5)
                while True:
                    client.send(frame(TEXT, bytes(1000)) * 100)

            server.program.wait_for("ignored enough")

            eventually(lambda: server.tasks() <= before, within=3)


def test_a_socket_we_close_ends_also_when_the_peer_says_nothing() -> None:
    with serving() as server, server.connected() as client:
        client.upgrade("/close")

        assert client.close_code() == 4400
        assert client.seconds_until_closed() < 4
        server.program.wait_for("disconnect 4400 enough")


def test_a_task_that_goes_on_sending_after_the_end_harms_nobody_else() -> None:
    with serving() as server, server.connected() as client:
        client.upgrade("/chatter")
        server.program.wait_for("chatter is over")
        client.rest()

        assert server.tasks() > 0

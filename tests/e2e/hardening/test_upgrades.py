"""Upgrades that are refused, and what is left of them."""

from contextlib import ExitStack

import pytest

from tests.e2e.hardening.client import KEY, TEXT, frame
from tests.e2e.hardening.server import eventually, serving

pytestmark = pytest.mark.slow

NO_KEYS = ["", "short", "c2l4dGVlbiBieXRlcyBvaw=", "!2l4dGVlbiBieXRlcyBvaw==", "A" * 44]


@pytest.mark.parametrize("key", NO_KEYS)
def test_a_key_that_is_none_is_refused(key: str) -> None:
    with serving() as server, server.connected() as client:
        assert client.upgrade("/echo", key=key).status == 400
        assert client.seconds_until_closed() < 2


@pytest.mark.parametrize("name", ["Protocol", "Extensions"])
def test_a_field_that_is_not_ascii_is_ignored(name: str) -> None:
    upgrade = f"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: {KEY}\r\n"
    field = f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-{name}: \xff\r\n\r\n"
    with serving() as server, server.connected() as client:
        client.send(f"GET /echo HTTP/1.1\r\nHost: a\r\n{upgrade}{field}".encode("latin-1"))

        assert client.answer().status == 101
        assert "Traceback" not in server.program.output


def test_another_version_is_told_ours() -> None:
    with serving() as server, server.connected() as client:
        answer = client.upgrade("/echo", version="8")

        assert answer.status == 426
        assert answer.headers["sec-websocket-version"] == "13"
        assert answer.headers["upgrade"] == "websocket"
        assert client.seconds_until_closed() < 2


def test_bytes_before_the_answer_are_refused_and_the_app_is_told_of_the_end() -> None:
    with serving() as server, server.connected() as client:
        client.ask_upgrade("/wait")
        server.program.wait_for("waiting")

        client.send(frame(TEXT, b"too early"))

        assert client.answer().status == 400
        server.program.wait_for("disconnect 1006")
        assert client.seconds_until_closed() < 2


def test_a_client_that_leaves_before_the_answer_is_noticed() -> None:
    with serving() as server:
        with server.connected() as client:
            client.ask_upgrade("/wait")
            server.program.wait_for("waiting")

        server.program.wait_for("disconnect 1006")


def test_of_refused_upgrades_nothing_is_left_however_long_they_are_held() -> None:
    with serving() as server, ExitStack() as held:
        files, tasks = server.files(), server.tasks()
        for number in range(200):
            client = held.enter_context(server.connected())
            if number % 4 == 0:
                client.ask_upgrade("/echo", version="99")
            elif number % 4 == 1:
                client.ask_upgrade("/echo", key="none")
            elif number % 4 == 2:
                client.ask_upgrade("/refuse")
            else:
                client.ask_upgrade("/wait")
                client.send(frame(TEXT, b"too early"))

        eventually(lambda: server.files() <= files, within=6)
        assert server.tasks() <= tasks

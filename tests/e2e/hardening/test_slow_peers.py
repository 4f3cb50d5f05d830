"""Peers that take their time, and those that take too much of it."""

import time

import pytest

from tests.e2e.hardening.server import eventually, serving

pytestmark = pytest.mark.slow

PATIENT = {"head_timeout": 1.0, "keep_alive_timeout": 60}


@pytest.mark.parametrize("sent", [b"", b"GET /show HTTP/1.1\r\nHost: a\r\nX-Slow: "])
def test_a_slow_head_is_cut_off_also_when_idle_connections_may_wait(sent: bytes) -> None:
    with serving(limits=PATIENT) as server, server.connected() as client:
        client.send(sent)
        assert 0.8 < client.seconds_until_closed() < 2.5


def test_a_head_that_begins_late_has_its_own_time() -> None:
    limits = {"head_timeout": 2.0, "keep_alive_timeout": 1.0}
    with serving(limits=limits) as server, server.connected() as client:
        client.get("/show")
        assert client.answer().status == 200
        time.sleep(0.8)
        client.send(b"GET /show HTTP/1.1\r\n")
        time.sleep(0.8)  # The keep-alive time is over; the time for the head is not.
        client.send(b"Host: a\r\n\r\n")

        assert client.answer().status == 200


def test_a_second_head_is_cut_off_too() -> None:
    with serving(limits=PATIENT) as server, server.connected() as client:
        client.get("/show")
        assert client.answer().status == 200
        client.send(b"GET /show HT")

        assert 0.8 < client.seconds_until_closed() < 2.5


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_a_reader_that_takes_no_byte_is_cut_off(loop: str) -> None:
    with serving(loop=loop, limits={"send_timeout": 1.0}) as server:
        files = server.files()
        with server.connected() as client:
            client.get("/large")
            server.program.wait_for("large answer is over")

            eventually(lambda: server.files() <= files, within=3)


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_a_slow_reader_gets_all_of_its_answer(loop: str) -> None:
    with serving(loop=loop, limits={"send_timeout": 1.0}) as server, server.connected() as client:
        client.get("/large", "Connection: close")
        received, began = 0, time.monotonic()

        while chunk := client.socket.recv(4 * 1024 * 1024):
            received += len(chunk)
            time.sleep(0.05 if time.monotonic() - began < 3 else 0)

        assert received > 64 * 1024 * 1024
        assert time.monotonic() - began > 1.0


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_a_socket_that_never_reads_is_cut_off(loop: str) -> None:
    with serving(loop=loop, limits={"send_timeout": 1.0}) as server:
        files = server.files()
        with server.connected() as client:
            client.upgrade("/flood")

            server.program.wait_for("flood is over")
            eventually(lambda: server.files() <= files, within=2)


def test_the_times_of_production_are_kept() -> None:
    with serving() as server:
        files, began = server.files(), time.monotonic()
        with server.connected() as head, server.connected() as reader, server.connected() as taker:
            reader.upgrade("/flood")
            taker.get("/large")
            head.send(b"GET /show HTTP/1.1\r\n")

            head.rest()
            assert 9 < time.monotonic() - began < 11
            eventually(lambda: server.files() <= files)
            assert time.monotonic() - began < 11


def test_the_end_of_an_idle_connection_is_taken_up_at_once() -> None:
    with serving(limits={"keep_alive_timeout": 60}) as server:
        files, tasks = server.files(), server.tasks()
        for _ in range(10):
            with server.connected() as client:
                client.get("/show")
                assert client.answer().status == 200

        eventually(lambda: server.files() <= files and server.tasks() <= tasks, within=2)

"""The server's life, seen from outside: a real process, real signals, real connections."""

import json
import signal
import socket
import sys
import time
from http.client import IncompleteRead

import pytest

from platform_api.server.signals import ECHO_SECONDS
from tests.e2e.server.processes import (
    answer_on,
    ask,
    connected,
    get,
    listening,
    started,
    wait_until_refused,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="Sends POSIX signals."),
]

on_both_loops = pytest.mark.parametrize("loop", ["uvloop", "asyncio"])


@on_both_loops
def test_a_stop_lets_a_request_in_flight_finish(loop: str) -> None:
    with listening(loop=loop) as server, connected(server.port) as connection:
        ask(connection, "/until-drain")
        server.wait_for("/until-drain")

        server.signal()
        response = answer_on(connection)

        assert (response.status, response.read()) == (200, b"finished")
        assert response.getheader("connection") == "close"
        assert server.exit_code() == 0
        assert "1 requests finished, 0 cancelled" in server.output


@on_both_loops
def test_a_request_over_the_limit_is_told_that_the_server_stops(loop: str) -> None:
    with (
        listening(loop=loop, requests_timeout=0.3) as server,
        connected(server.port) as connection,
    ):
        ask(connection, "/endless")
        server.wait_for("/endless")

        server.signal()
        response = answer_on(connection)

        assert response.status == 503
        assert json.loads(response.read())["code"] == "shutting_down"
        assert response.getheader("content-type") == "application/json"
        assert response.getheader("retry-after") == "1"
        assert response.getheader("connection") == "close"
        assert server.exit_code() == 0
        assert "0 requests finished, 1 cancelled" in server.output


def test_an_answer_cut_off_half_way_does_not_look_whole() -> None:
    with (
        listening(requests_timeout=0.3) as server,
        connected(server.port) as connection,
    ):
        ask(connection, "/endless-stream")
        response = answer_on(connection)

        server.signal()

        with pytest.raises(IncompleteRead) as raised:
            response.read()
        assert raised.value.partial == b"begun"
        assert server.exit_code() == 0


def test_a_handler_that_refuses_to_be_cancelled_is_ended_by_the_watchdog() -> None:
    with (
        listening(requests_timeout=0.1, watchdog_after=3) as server,
        connected(server.port) as connection,
    ):
        ask(connection, "/stubborn")
        server.wait_for("/stubborn")

        server.signal()

        server.wait_for("they are cut off")
        server.wait_for("closing")
        assert server.exit_code() == 70


@on_both_loops
def test_idle_connections_are_closed_at_once(loop: str) -> None:
    with listening(loop=loop) as server, connected(server.port) as connection:
        ask(connection, "/fast")
        assert answer_on(connection).read() == b"fast"

        server.signal()

        assert connection.recv(1) == b""
        assert server.exit_code() == 0


def test_new_connections_are_refused_while_old_requests_finish() -> None:
    with (
        listening(requests_timeout=1) as server,
        connected(server.port) as connection,
    ):
        ask(connection, "/endless")
        server.wait_for("/endless")

        server.signal()
        wait_until_refused(server.port)

        assert get(server.admin_port, "/")[1] == b"draining"
        assert answer_on(connection).status == 503


def test_the_server_answers_until_the_delay_is_over() -> None:
    with listening(delay=0.5) as server:
        server.signal()
        server.wait_for("Draining")

        assert get(server.port, "/fast") == (200, b"fast")
        assert get(server.admin_port, "/")[1] == b"draining"
        assert server.exit_code() == 0


def test_a_server_that_listens_is_ready_and_does_not_name_its_software() -> None:
    with listening() as server, connected(server.admin_port) as connection:
        ask(connection, "/")
        response = answer_on(connection)

        assert response.read() == b"ready"
        assert response.getheader("server") is None


@on_both_loops
def test_a_reload_of_one_process_is_declined_and_it_serves_on(loop: str) -> None:
    with listening(loop=loop) as server:
        server.signal(signal.SIGHUP)
        server.wait_for("SIGHUP replaces workers, and this is one process")

        assert get(server.port, "/fast") == (200, b"fast")
        server.signal()
        assert server.exit_code() == 0


def test_the_stop_goes_in_order() -> None:
    with listening() as server:
        server.signal(signal.SIGINT)

        assert server.exit_code() == 0
        said = [line.split()[0].rstrip(":") for line in server.seen]
        assert said == ["opening", "Listening", "Draining", "closer", "Drained", "closing"]


@pytest.mark.parametrize("closer", ["crashes", "hangs"])
def test_a_closer_that_fails_does_not_keep_the_server(closer: str) -> None:
    with listening(closer=closer, sockets_timeout=0.2) as server:
        server.signal()

        assert server.exit_code() == 0
        assert "closing" in server.seen


@on_both_loops
def test_a_second_signal_ends_the_process_at_once(loop: str) -> None:
    with listening(loop=loop) as server, connected(server.port) as connection:
        ask(connection, "/endless")
        server.wait_for("/endless")
        server.signal()
        server.wait_for("Draining")

        time.sleep(ECHO_SECONDS + 0.1)  # The length of the echo is what is tested.
        server.signal(signal.SIGINT)

        assert server.exit_code() == 130


def test_signals_that_come_together_are_one() -> None:
    with listening() as server, connected(server.port) as connection:
        ask(connection, "/until-drain")
        server.wait_for("/until-drain")

        server.signal(signal.SIGINT)
        server.wait_for("Draining")
        server.signal(signal.SIGINT)

        assert answer_on(connection).read() == b"finished"
        assert server.exit_code() == 0


@on_both_loops
def test_a_blocked_event_loop_is_ended_by_the_watchdog(loop: str) -> None:
    with listening(loop=loop, watchdog_after=0.5) as server, connected(server.port) as connection:
        ask(connection, "/block")
        server.wait_for("/block")

        server.signal()

        assert server.exit_code() == 70
        assert "in App.block" in server.output


def test_a_second_signal_ends_even_a_blocked_process() -> None:
    with listening() as server, connected(server.port) as connection:
        ask(connection, "/block")
        server.wait_for("/block")
        server.signal()

        time.sleep(ECHO_SECONDS + 0.1)  # The length of the echo is what is tested.
        server.signal()

        assert server.exit_code() == 130


def test_a_taken_port_is_told_in_a_sentence_before_anything_opens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with started(port=port) as server:
            assert server.exit_code() == 1

    assert len(server.seen) == 1
    assert f"127.0.0.1:{port} is already in use" in server.seen[0]


def test_a_known_failure_at_start_is_told_without_a_trace() -> None:
    with started(fault="unreachable") as server:
        assert server.exit_code() == 1

    assert server.seen == ["opening", "The server cannot start. The database cannot be reached."]


@pytest.mark.parametrize(("fault", "error"), [("bug", "ZeroDivision"), ("timeout", "TimeoutError")])
def test_an_unknown_failure_at_start_is_told_with_its_trace(fault: str, error: str) -> None:
    with started(fault=fault) as server:
        assert server.exit_code() == 1

    assert "The server failed while it was starting." in server.seen
    assert error in server.output
    assert "Traceback" in server.output


@on_both_loops
def test_a_signal_ends_a_start_that_still_waits(loop: str) -> None:
    with started(loop=loop, fault="waits") as server:
        server.wait_for("opening")

        server.signal()

        assert server.exit_code() == 0
        assert server.seen == ["opening", "Stopped before the server was ready."]


def test_a_failure_to_close_shows_in_the_exit_code() -> None:
    with listening(fault="close") as server:
        server.signal()

        assert server.exit_code() == 70
        assert "ZeroDivisionError" in server.output


@on_both_loops
def test_a_handler_cannot_end_the_server(loop: str) -> None:
    with listening(loop=loop) as server:
        assert get(server.port, "/exit")[0] == 500
        assert get(server.port, "/interrupt")[0] == 500

        assert get(server.port, "/fast") == (200, b"fast")
        server.signal()
        assert server.exit_code() == 0


@on_both_loops
def test_a_handlers_own_task_cannot_end_the_server(loop: str) -> None:
    with listening(loop=loop) as server:
        assert get(server.port, "/exit-in-task") == (200, b"survived")

        server.wait_for("A task raised .*; the server goes on")
        server.signal()
        assert server.exit_code() == 0

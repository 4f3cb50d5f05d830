"""Requests that take too long, and more of them than the server can do."""

import time
from collections.abc import Iterator

import pytest

from tests.e2e.hardening.client import connected
from tests.e2e.hardening.server import eventually
from tests.e2e.limits.server import Server, serving

pytestmark = pytest.mark.slow

ASK = "X-User-Id: alice"


def test_a_handler_that_takes_too_long_is_stopped_and_answered_for() -> None:
    with serving(http={"request_timeout": 0.3}) as server, server.connected() as client:
        client.get("/api/v1/trial/endless", ASK)
        answer = client.answer()

        assert (answer.status, answer.json["code"]) == (504, "deadline_exceeded")
        server.program.wait_for("gave up")
        client.get("/api/v1/trial/work", ASK)
        assert client.answer().status == 200, "the connection is kept"


def test_an_encoded_slash_divides_nothing() -> None:
    with serving() as server, server.connected() as client:
        for path in ("/api/v1%2Fprojects", "/api/v1/projects%2f1", "/health%2Flive"):
            client.get(path, ASK)
            assert client.answer().status == 404, path
        client.get("/api/v1/%70rojects", ASK)
        assert client.answer().status == 200
        with connected(server.program.admin_port) as admin:
            admin.send(b"GET /health%2Flive HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert admin.answer().status == 404
        assert client.upgrade("/api/v1%2Fws", ASK).status == 404


def test_more_requests_than_may_be_in_flight_are_refused_at_once() -> None:
    with serving(http={"max_in_flight": 2, "request_timeout": 2}) as server:
        with server.connected() as first, server.connected() as second:
            for client in (first, second):
                client.get("/api/v1/trial/endless", ASK)
            eventually(lambda: status_of_work(server) == 503)

            with server.connected() as third:
                third.get("/api/v1/trial/work", ASK, "Origin: https://app.example.com")
                answer = third.answer()
                assert (answer.status, answer.json["code"]) == (503, "overloaded")
                assert answer.headers["retry-after"] == "1"
                assert "x-request-id" in answer.headers
                third.get("/health/live")
                assert third.answer().status == 200, "the connection is kept"
        eventually(lambda: status_of_work(server) == 200)


@pytest.fixture
def full() -> Iterator[Server]:
    """A server whose only place is taken."""
    with serving(http={"max_in_flight": 1}) as server, server.connected() as first:
        first.get("/api/v1/trial/endless", ASK)
        eventually(lambda: status_of_work(server) == 503)
        yield server


def test_a_refusal_is_the_same_whichever_way_the_request_came(full: Server) -> None:
    own = {"x-request-id", "date"}
    with full.connected() as client:
        client.get("/api/v1/trial/work", ASK)
        early = client.answer()
        client.send(b"GET /api/v1/trial/work HTTP/1.1\r\n")
        time.sleep(0.05)  # So that it comes in two pieces, and to the parser.
        client.send(b"Host: a\r\n\r\n")
        late = client.answer()

    assert early.json == late.json
    assert {*early.headers.items()} >= {
        (name, value) for name, value in late.headers.items() if name not in own
    }
    assert early.headers["x-request-id"] != late.headers["x-request-id"]


def test_a_refusal_leaves_the_connection_as_it_was(full: Server) -> None:
    whole = b"GET /api/v1/trial/work HTTP/1.1\r\nHost: a\r\n\r\n"
    write = b"POST /api/v1/trial/read HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n"
    with full.connected() as client:
        for pieces in [(whole,), (whole[:20], whole[20:]), (whole, whole), (write + b"{  }",)]:
            for piece in pieces:
                client.send(piece)
                time.sleep(0.05)  # So that it comes as a piece of its own.
            for _ in range(b"".join(pieces).count(b" HTTP/1.1")):
                assert client.answer().status == 503
        client.send(whole + whole)
        assert [client.answer().status, client.answer().status] == [503, 503]
        client.get("/health/live")
        assert client.answer().status == 200


def test_refusals_keep_a_connection_alive_and_then_it_has_its_idle_time() -> None:
    request = b"GET /api/v1/trial/work HTTP/1.1\r\nHost: a\r\n\r\n"
    limits = {"max_in_flight": 1, "keep_alive_timeout": 1, "request_timeout": 30}
    with serving(http=limits) as server, server.connected() as first, server.connected() as client:
        first.get("/api/v1/trial/endless", ASK)
        eventually(lambda: status_of_work(server) == 503)
        for _ in range(10):  # Twice the idle time.
            client.send(request)
            assert client.answer().status == 503
            time.sleep(0.2)

        assert 0.5 < client.seconds_until_closed() < 5


def test_who_floods_and_reads_nothing_costs_no_memory(full: Server) -> None:
    request = b"GET /api/v1/trial/work HTTP/1.1\r\nHost: a\r\n\r\n"
    before = full.memory()
    with full.connected() as flood, full.connected() as other:
        for size in (1, 1_000):
            for _ in range(2_000):
                flood.send(request * size)
        other.get("/health/live")

        assert other.answer().status == 200
        assert full.memory() - before <= 16


def status_of_work(server: Server) -> int:
    with server.connected() as client:
        client.get("/api/v1/trial/work", ASK)
        return client.answer().status


def test_refusals_are_counted_in_one_line_every_five_seconds() -> None:
    with serving(http={"max_in_flight": 1}) as server:
        with server.connected() as first, server.connected() as second:
            first.get("/api/v1/trial/endless", ASK)
            eventually(lambda: status_of_work(server) == 503)
            for _ in range(500):
                second.get("/api/v1/trial/work", ASK)
                assert second.answer().status == 503
        server.program.wait_for(r"Overloaded: 50\d requests refused")

        assert server.program.output.count("trial/work") <= 5

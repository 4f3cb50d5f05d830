"""Requests that take too long, and more of them than the server can do."""

import pytest

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

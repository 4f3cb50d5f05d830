"""Clients that send or read slowly take no place from the others."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import Event, Thread

import pytest

from tests.e2e.hardening.client import Answer, Client
from tests.e2e.limits.server import Server, serving

pytestmark = pytest.mark.slow

BODY = b'{"text": "abc"}'
FIELDS = "Host: a\r\nX-User-Id: alice\r\nContent-Type: application/json\r\n"
ASK = "X-User-Id: alice"


def begin(client: Client, length: int = len(BODY)) -> None:
    """Send the head of a request and the first byte of its body."""
    head = f"POST /api/v1/trial/read HTTP/1.1\r\n{FIELDS}Content-Length: {length}\r\n\r\n"
    client.send(head.encode() + BODY[:1])


def end(client: Client) -> Answer:
    client.send(BODY[1:])
    return client.answer()


def answer_of(server: Server, path: str = "/api/v1/trial/work") -> Answer:
    with server.connected() as client:
        client.get(path, ASK)
        return client.answer()


@contextmanager
def trickling(clients: list[Client]) -> Iterator[None]:
    """Send a byte of each body in a second."""
    over = Event()

    def trickle() -> None:
        while not over.wait(1.0):
            for client in clients:
                client.send(b" ")

    sending = Thread(target=trickle)
    sending.start()
    try:
        yield
    finally:
        over.set()
        sending.join()


def test_a_hundred_slow_bodies_keep_no_other_request_out() -> None:
    limits = {"max_in_flight": 10, "max_bodies_per_client": 100}
    with serving(http=limits) as server, ExitStack() as stack:
        slow = [stack.enter_context(server.connected()) for _ in range(100)]
        for client in slow:
            begin(client, 1000)
        with trickling(slow):
            for _ in range(50):
                assert answer_of(server).status == 200
                with server.connected() as client:
                    begin(client)
                    time.sleep(0.05)  # So that the rest comes as a piece of its own.
                    assert end(client).json == {"size": 3}

        assert server.program.output.count("Overloaded") == 0


@pytest.mark.parametrize(
    ("limit", "sources", "refused"),
    [
        ("max_bodies_per_client", ["127.0.0.1"] * 3, (429, "too_many_bodies")),
        ("max_bodies", ["127.0.0.2", "127.0.0.3", "127.0.0.4"], (503, "overloaded")),
    ],
)
def test_past_a_limit_of_bodies_on_their_way_the_oldest_is_refused(
    limit: str, sources: list[str], refused: tuple[int, str]
) -> None:
    with serving(http={limit: 2}) as server, ExitStack() as stack:
        oldest, *newer = [stack.enter_context(server.connected(source=each)) for each in sources]
        for client in (oldest, *newer):
            begin(client)
            time.sleep(0.05)  # So that they come in this order.
        refusal = oldest.answer()

        assert (refusal.status, refusal.json["code"]) == refused
        assert refusal.headers["retry-after"] == "1"
        assert refusal.headers["connection"] == "close"
        assert [end(client).status for client in newer] == [200, 200]


def test_bodies_on_their_way_take_a_bounded_memory() -> None:
    limits = {"max_bodies": 8, "max_bodies_per_client": 8}
    with serving(http=limits) as server, ExitStack() as stack:
        before = server.memory()
        for _ in range(100):
            client = stack.enter_context(server.connected())
            begin(client, 1_000_000)
            client.send(bytes(900_000))

        assert answer_of(server).status == 200
        assert server.memory() - before <= 48


def test_answers_that_are_read_slowly_keep_no_other_request_out() -> None:
    with serving(http={"max_in_flight": 5}) as server, ExitStack() as stack:
        for _ in range(20):
            client = stack.enter_context(server.connected(buffer=4096))
            client.get("/api/v1/trial/report", ASK)
            assert client.socket.recv(1) == b"H", "the answer has begun"

        for _ in range(20):
            assert answer_of(server).status == 200

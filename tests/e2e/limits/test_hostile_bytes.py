"""Bytes that are expensive to judge do not make another client wait."""

import time
from collections.abc import Callable, Iterator
from threading import Event, Thread
from typing import Self

import pytest

from tests.e2e.hardening.client import TEXT, Client, frame
from tests.e2e.limits.server import Server, serving

pytestmark = pytest.mark.slow

MOST_SECONDS = 0.25
"""Five times what a quiet machine may take: 50 ms over the quiet time."""

BACKSLASHES = b"\\" * 8_000
FIELDS = b"Host: a\r\nX-User-Id: alice\r\nContent-Type: application/json\r\n"
CHUNKED = b"POST /api/v1/trial/read HTTP/1.1\r\n" + FIELDS + b"Transfer-Encoding: chunked\r\n\r\n"


def get(target: bytes, *fields: bytes) -> bytes:
    lines = [b"GET " + target + b" HTTP/1.1", FIELDS + b"\r\n".join(fields), b"", b""]
    return b"\r\n".join(lines)


def post(body: bytes) -> bytes:
    head = b"POST /api/v1/trial/items HTTP/1.1\r\n%bContent-Length: %d\r\n\r\n"
    return head % (FIELDS, len(body)) + body


def members(form: str, times: int) -> bytes:
    """Return `form` again and again, with commas between and the number in place of each `#`."""
    return ",".join(form.replace("#", f"{number}") for number in range(times)).encode()


HOSTILE: dict[str, tuple[Callable[[], bytes], int]] = {
    "a long host before a fragment": (lambda: get(b"http://" + b"a" * 16_000 + b"#"), 400),
    "blanks in a field": (lambda: get(b"/", b"X:" + b" " * 16_000 + b"\0"), 400),
    "blanks in the size of a chunk": (lambda: CHUNKED + b"1;" + b" " * 60_000 + b"\0\r\n", 400),
    "a chunk for each byte": (lambda: CHUNKED + b"1\r\n \r\n" * 170_000 + b"0\r\n\r\n", 422),
    "backslashes for the log": (lambda: get(b"/token=" + BACKSLASHES + b'"' + BACKSLASHES), 404),
    "thousands of parameters": (lambda: get(b"/api/v1/projects?limit=x&" + b"a&" * 7_500), 422),
    "unknown fields": (lambda: post(b"{" + members('"k#":0', 90_000) + b"}"), 422),
    "unknown fields within": (lambda: post(b'{"one":{' + members('"#":[]', 90_000) + b"}}"), 422),
    "items of a wrong type": (lambda: post(b'{"texts":[' + members("1", 500_000) + b"]}"), 422),
    "items of no type": (lambda: post(b'{"mixed":[' + members("{}", 300_000) + b"]}"), 422),
    "entries of a wrong type": (
        lambda: post(b'{"sizes":{' + members('"#":""', 90_000) + b"}}"),
        422,
    ),
    "a deep array": (lambda: post(b'{"texts":' + b"[" * 1_000_000), 422),
    "a long number": (lambda: post(b'{"sizes":{"a":' + b"9" * 1_000_000 + b"}}"), 422),
    "a Content-Type of semicolons": (
        lambda: CHUNKED.replace(b"json", b"json" + b"; " * 7_000 + b"?") + b"0\r\n\r\n",
        415,
    ),
}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving(http={"max_body_bytes": 2 * 1024 * 1024}) as server:
        yield server


class Probe:
    """Asks for `/health/live` on one connection, again and again, and once when it is left."""

    def __init__(self, client: Client) -> None:
        self.slowest = 0.0
        self._client = client
        self._over = Event()
        self._asked = Event()
        self._thread = Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        self._asked.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        is_last = False
        while not is_last:
            is_last = self._over.is_set()  # The line of the log comes after the answer.
            began = time.monotonic()
            self._client.get("/health/live")
            assert self._client.answer().status == 200
            self.slowest = max(self.slowest, time.monotonic() - began)
            self._asked.set()
            self._over.wait(0.005)


def wait_of_another(server: Server, attack: Callable[[Client], None]) -> float:
    """Return the slowest answer to another client, in seconds; the best of three attacks."""
    waits = []
    for _ in range(3):
        with server.connected() as other, server.connected() as client, Probe(other) as probe:
            attack(client)
        waits.append(probe.slowest)
    print(f"another client waited {min(waits) * 1000:.1f} ms")  # noqa: T201 - for `pytest -s`
    return min(waits)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_request_does_not_make_another_client_wait(server: Server, name: str) -> None:
    make, status = HOSTILE[name]
    request = make()

    def attack(client: Client) -> None:
        client.send(request)
        assert client.answer().status == status

    assert wait_of_another(server, attack) < MOST_SECONDS


@pytest.mark.parametrize(
    "message",
    [
        b"{" + members('"k#":0', 6_000) + b"}",
        b'{"type":"ping",' + members('"k#":[]', 6_000) + b"}",
        b'{"type":"ping","id":' + b"[" * 60_000,
        b'{"type":"ping","id":' + b"9" * 60_000 + b"}",
    ],
    ids=["no type", "unknown fields", "a deep array", "a long number"],
)
def test_a_hostile_message_does_not_make_another_client_wait(
    server: Server, message: bytes
) -> None:
    def attack(client: Client) -> None:
        assert client.upgrade("/api/v1/ws", "X-User-Id: alice").status == 101
        client.send(frame(TEXT, message) * 10)
        answers = [client.frame()[1] for _ in range(11)]
        assert sum(b"validation_failed" in answer for answer in answers) == 10

    assert wait_of_another(server, attack) < MOST_SECONDS

import json
from collections.abc import Iterator

import pytest

from platform_api.capacity import Capacity
from platform_api.load_shedding import LoadShedding
from platform_api.server.lifecycle import Lifecycle, Phase
from tests.api.conftest import lifecycle_in

pytestmark = pytest.mark.anyio

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture
def lifecycle() -> Lifecycle:
    return lifecycle_in(Phase.READY)


@pytest.fixture
def full() -> Iterator[Capacity]:
    """A server whose only place is taken."""
    capacity = Capacity(1)
    with capacity.taken():
        yield capacity


@pytest.fixture
def shed(full: Capacity, lifecycle: Lifecycle) -> LoadShedding:
    return LoadShedding(full, lifecycle)


def request(line: str = "GET /api/v1/projects", *fields: str, body: str = "") -> bytes:
    head = (f"{line} HTTP/1.1", "Host: a", *fields, "", body)
    return "\r\n".join(head).encode("latin-1")


ORDINARY = {
    "a read": request(),
    "a query": request("GET /api/v1/projects?limit=5&after=%20"),
    "a read of a browser": request(
        "GET /a", "Connection: keep-alive", "Accept: */*", 'Cookie: a="b;c"', "User-Agent: ü"
    ),
    "a write": request("POST /a", "Content-Length: 4", "Idempotency-Key: 1", body="{  }"),
    "a write without a body": request("DELETE /a", "content-length:0"),
}
SPECIAL = {
    "nothing": b"",
    "a probe": request("GET /health/live"),
    "a page's question whether it may ask": request("OPTIONS /a"),
    "from a page of another origin": request("GET /a", "Origin: https://app.example.com"),
    "an upgrade": request("GET /a", "Upgrade: websocket", "Connection: Upgrade"),
    "the last on its connection": request("GET /a", "connection: close"),
    "half a head": request()[:-4],
    "the first half of a body": request("POST /a", "Content-Length: 4", body="{ "),
    "two at once": request() + request(),
    "a body that is asked for": request("POST /a", "Expect: 100-continue", "Content-Length: 4"),
    "chunks": request("POST /a", "Transfer-Encoding: chunked", body="0\r\n\r\n"),
    "two lengths": request("POST /a", "Content-Length: 1", "Content-Length: 0", body="1"),
    "a length that is none": request("POST /a", "Content-Length: +1", body="1"),
    "a list of lengths": request("POST /a", "Content-Length: 1, 1", body="1"),
    "a space before the colon": request("POST /a", "Content-Length : 1", body="1"),
    "a folded field": request("GET /a", "X: 1\r\n Content-Length: 1"),
    "a length beyond all": request("POST /a", "Content-Length: " + "1" * 5000),
    "no Host": b"GET /a HTTP/1.1\r\n\r\n",
    "two Hosts": request("GET /a", "host: b"),
    "a bare CR": request("GET /a", "X: 1\rContent-Length: 1"),
    "a bare LF": request("GET /a", "X: 1\nContent-Length: 1"),
    "a NUL": request("GET /a", "X: \0"),
    "HTTP/1.0": request().replace(b"HTTP/1.1", b"HTTP/1.0"),
    "the target of a proxy": request("GET http://a/b"),
    "a space in the target": request("GET /a b"),
    "a method nobody knows": request("BREW /a"),
}


@pytest.mark.parametrize("received", ORDINARY.values(), ids=ORDINARY)
async def test_an_ordinary_request_without_room_is_answered(
    received: bytes, shed: LoadShedding
) -> None:
    answer = shed(received)

    assert answer is not None
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *fields = head.decode().split("\r\n")
    assert status == "HTTP/1.1 503 "
    headers = dict(field.split(": ", 1) for field in fields)
    assert headers["content-length"] == str(len(body))
    assert headers["content-type"] == "application/json"
    assert headers["retry-after"] == "1"
    assert headers["cache-control"] == "no-store"
    assert json.loads(body)["code"] == "overloaded"


@pytest.mark.parametrize("received", SPECIAL.values(), ids=SPECIAL)
async def test_whatever_is_special_goes_to_the_parser(received: bytes, shed: LoadShedding) -> None:
    assert shed(received) is None


async def test_with_room_everything_passes(lifecycle: Lifecycle) -> None:
    shed = LoadShedding(Capacity(1), lifecycle)

    assert shed(request()) is None


@pytest.mark.parametrize("phase", [Phase.STARTING, Phase.DRAINING])
async def test_a_server_that_stops_says_that_and_not_that_it_is_busy(
    phase: Phase, full: Capacity
) -> None:
    assert LoadShedding(full, lifecycle_in(phase))(request()) is None


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (("X-Request-ID: r-1",), "r-1"),
        ((f"traceparent: 00-{TRACE}-00f067aa0ba902b7-01",), TRACE),
        ((f"traceparent: 00-{TRACE}-00f067aa0ba902b7-01", "x-request-id:r-1"), "r-1"),
        (("X-Request-ID: ü", f"traceparent: 00-{TRACE}-00f067aa0ba902b7-01"), TRACE),
    ],
)
async def test_a_refusal_carries_the_callers_own_id(
    fields: tuple[str, ...], expected: str, shed: LoadShedding
) -> None:
    assert f"\r\nx-request-id: {expected}\r\n".encode() in (shed(request("GET /a", *fields)) or b"")


async def test_an_id_in_the_body_is_none(shed: LoadShedding) -> None:
    body = "\nx-request-id: r-1\r"
    answer = shed(request("POST /a", f"Content-Length: {len(body)}", body=body))

    assert answer is not None
    assert b"r-1" not in answer


async def test_every_refusal_has_an_id_of_its_own(shed: LoadShedding) -> None:
    assert shed(request()) != shed(request())

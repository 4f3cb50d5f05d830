import asyncio
from dataclasses import dataclass

import pytest
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from platform_api.errors import BodyTimeout, Overloaded, PayloadTooLarge, TooManyBodies
from platform_api.middleware.body_ceiling import DRAIN_BYTES, BodyCeiling, allow_body
from tests.api.middleware.requests import Exchange, exchanged, pieces, scope_of

pytestmark = pytest.mark.anyio

OK = Response("ok")


async def reading(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body", False):
        pass
    await OK(scope, receive, send)


def ceiling(
    app: object = reading,
    *,
    max_bytes: int = 10,
    timeout: float = 30,
    max_bodies: int = 100,
    max_bodies_per_client: int = 100,
) -> BodyCeiling:
    return BodyCeiling(
        app,  # type: ignore[arg-type]
        max_bytes=max_bytes,
        timeout=timeout,
        max_bodies=max_bodies,
        max_bodies_per_client=max_bodies_per_client,
    )


async def test_a_body_within_the_ceiling_is_read_and_the_connection_kept() -> None:
    exchange = await exchanged(
        ceiling(), scope_of(content_length="10"), *pieces(b"12345", b"67890")
    )

    assert exchange.status == 200
    assert "connection" not in exchange.headers


@pytest.mark.parametrize("body", [[], pieces(b"", whole=False)])
async def test_a_length_above_the_ceiling_is_refused_before_anything_is_read(
    body: list[Message],
) -> None:
    with pytest.raises(PayloadTooLarge) as refusal:
        await exchanged(ceiling(), scope_of(content_length="11"), *body)

    assert refusal.value.details == {"max_bytes": 10}


async def test_a_body_that_never_said_its_length_is_counted() -> None:
    exchange = Exchange(pieces(b"123456", b"123456", b"never read"))

    with pytest.raises(PayloadTooLarge):
        await ceiling()(scope_of(transfer_encoding="chunked"), exchange.receive, exchange.send)

    assert len(exchange.incoming) == 1


@pytest.mark.parametrize(("allowed", "fits"), [(5, False), (20, True)])
async def test_one_request_may_have_a_ceiling_of_its_own(allowed: int, fits: bool) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        allow_body(scope, allowed)
        await reading(scope, receive, send)

    request = exchanged(ceiling(app), scope_of(content_length="9"), *pieces(b"123456789"))
    if fits:
        assert (await request).status == 200
        return
    with pytest.raises(PayloadTooLarge):
        await request


async def test_a_body_has_its_time_as_a_whole_not_for_each_piece() -> None:
    async def trickle() -> Message:
        await asyncio.sleep(0.02)
        return {"type": "http.request", "body": b"", "more_body": True}

    exchange = Exchange()
    async with asyncio.timeout(5):
        with pytest.raises(BodyTimeout):
            await ceiling(timeout=0.1)(
                scope_of(transfer_encoding="chunked"), trickle, exchange.send
            )


async def test_a_time_out_of_somebody_elses_is_not_the_bodys() -> None:
    async def receive() -> Message:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        await ceiling()(scope_of(content_length="1"), receive, Exchange().send)


@dataclass
class Sender:
    """A client that has sent a part of its body."""

    exchange: Exchange
    request: asyncio.Task[None]

    async def end(self) -> Exchange:
        """Send the rest and return what came back. Raises what the app raised."""
        self.exchange.silence.set()
        await self.request
        return self.exchange


async def sender(app: BodyCeiling, client: str | None) -> Sender:
    exchange = Exchange(pieces(b"1", whole=False))
    scope = scope_of(content_length="2")
    scope["client"] = (client, 1) if client else None
    request = asyncio.create_task(app(scope, exchange.receive, exchange.send))
    for _ in range(3):  # Turns until it waits.
        await asyncio.sleep(0)
    return Sender(exchange, request)


@pytest.mark.parametrize("client", ["192.0.2.1", None])
async def test_past_the_limit_of_its_client_the_oldest_body_is_refused(client: str | None) -> None:
    app = ceiling(max_bodies_per_client=2)
    other = await sender(app, "192.0.2.2")
    oldest, *newer = [await sender(app, client) for _ in range(3)]

    with pytest.raises(TooManyBodies):
        await oldest.request
    for each in (other, *newer):
        assert (await each.end()).status == 200


async def test_past_the_limit_of_all_the_oldest_body_is_refused() -> None:
    app = ceiling(max_bodies=2)
    oldest, *newer = [await sender(app, f"192.0.2.{number}") for number in range(3)]

    with pytest.raises(Overloaded):
        await oldest.request
    for each in newer:
        assert (await each.end()).status == 200


async def test_a_body_that_is_refused_while_its_app_does_something_else_is_not_read_on() -> None:
    refused = asyncio.Event()

    async def busy(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await refused.wait()
        await receive()

    app = ceiling(busy, max_bodies_per_client=1)
    oldest = await sender(app, "192.0.2.1")
    newest = await sender(app, "192.0.2.1")
    refused.set()

    with pytest.raises(TooManyBodies):
        await oldest.request
    await newest.end()


async def test_a_body_that_ended_counts_no_more() -> None:
    app = ceiling(max_bodies=1, max_bodies_per_client=1)
    for _ in range(3):
        await (await sender(app, "192.0.2.1")).end()
    slow = await sender(app, "192.0.2.1")
    slow.request.cancel()
    await asyncio.wait({slow.request})

    assert (await (await sender(app, "192.0.2.1")).end()).status == 200


async def test_waiting_for_the_client_to_leave_has_no_end() -> None:
    left: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        left.append(await receive())

    exchange = Exchange(pieces(b"1"))
    asyncio.get_running_loop().call_later(0.1, exchange.silence.set)
    await ceiling(app, timeout=0.02)(scope_of(content_length="1"), exchange.receive, exchange.send)

    assert left == [{"type": "http.disconnect"}]


async def test_an_answer_before_the_bodys_end_closes_the_connection() -> None:
    exchange = Exchange(pieces(b"1", whole=False))
    asyncio.get_running_loop().call_later(0.1, exchange.silence.set)

    await ceiling(OK)(scope_of(content_length="9"), exchange.receive, exchange.send)

    assert exchange.headers["connection"] == "close"
    bodies = [(message["body"], message.get("more_body", False)) for message in exchange.sent[1:]]
    assert bodies == [(b"ok", True), (b"", False)]


async def test_the_rest_of_an_unread_body_is_dropped_up_to_a_bound() -> None:
    piece = bytes(DRAIN_BYTES // 4)
    given = 20
    asked = 0

    async def endless() -> Message:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0)  # As a server does that has to read first.
        return {"type": "http.request", "body": piece, "more_body": asked < given}

    exchange = Exchange()
    await ceiling(OK)(scope_of(transfer_encoding="chunked"), endless, exchange.send)

    assert asked <= 6
    assert exchange.sent[-1] == {"type": "http.response.body", "body": b""}


async def test_an_unread_body_that_has_come_already_keeps_the_connection() -> None:
    exchange = await exchanged(ceiling(OK), scope_of(content_length="4"), *pieces(b"12", b"34"))

    assert "connection" not in exchange.headers
    assert len(exchange.sent) == 2


@pytest.mark.parametrize("scope", [scope_of(), scope_of(content_length="0"), scope_of("websocket")])
async def test_what_has_no_body_is_left_alone(scope: Scope) -> None:
    exchange = Exchange()
    given: list[Receive] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        given.append(receive)

    await ceiling(app)(scope, exchange.receive, exchange.send)

    assert given == [exchange.receive]

import asyncio
import json
from typing import Any

import pytest
from loguru import logger
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from platform_api import capacity
from platform_api.capacity import Capacity
from platform_api.errors import Overloaded
from platform_api.middleware.admission import Admission
from platform_api.middleware.request_log import RequestLog
from tests.api.middleware.requests import Exchange, exchanged, pieces, scope_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def log() -> Any:
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(message.record["message"]), level="INFO")
    yield lines
    logger.remove(sink)


class Gate:
    """An app that answers when it is opened."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.entered = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.entered += 1
        await self.opened.wait()
        await Response("ok")(scope, receive, send)


async def crowd(app: Admission, size: int) -> list[asyncio.Task[Exchange]]:
    tasks = [asyncio.create_task(exchanged(app, scope_of())) for _ in range(size)]
    await asyncio.sleep(0)
    return tasks


async def test_more_than_may_be_in_flight_are_refused_at_once_and_told_when_to_return() -> None:
    gate = Gate()
    app = Admission(gate, Capacity(2))
    inside = await crowd(app, 2)

    refused = await exchanged(app, scope_of())

    assert refused.status == 503
    assert refused.headers["retry-after"] == "1"
    assert "connection" not in refused.headers
    assert json.loads(refused.sent[1]["body"])["code"] == "overloaded"
    gate.opened.set()
    assert {(await task).status for task in inside} == {200}
    assert (await exchanged(app, scope_of())).status == 200


async def test_who_fails_or_is_cancelled_leaves_no_place_taken() -> None:
    gate = Gate()
    app = Admission(gate, Capacity(1))
    (inside,) = await crowd(app, 1)
    inside.cancel()
    await asyncio.wait({inside})
    gate.opened.set()

    assert (await exchanged(app, scope_of())).status == 200


class ReadingGate(Gate):
    """A gate that reads the body and opens by itself."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body", False):
            pass
        await Response("ok")(scope, receive, send)


async def test_a_body_that_is_waited_for_takes_no_place() -> None:
    app = Admission(ReadingGate(), Capacity(1))
    slow = [Exchange(pieces(b"1", whole=False)) for _ in range(3)]
    waiting = [asyncio.create_task(app(scope_of(), each.receive, each.send)) for each in slow]
    await asyncio.sleep(0)

    assert (await exchanged(app, scope_of(), *pieces(b"1"))).status == 200
    for task in waiting:
        task.cancel()


async def test_a_body_that_has_come_needs_a_place_again() -> None:
    reading, gate = ReadingGate(), Gate()
    capacity = Capacity(1)
    slow = Exchange(pieces(b"1", whole=False))
    waiting = asyncio.create_task(Admission(reading, capacity)(scope_of(), slow.receive, slow.send))
    await asyncio.sleep(0)
    (inside,) = await crowd(Admission(gate, capacity), 1)

    slow.silence.set()

    with pytest.raises(Overloaded):
        await waiting
    gate.opened.set()
    assert (await inside).status == 200


async def test_an_answer_that_is_read_slowly_takes_no_place() -> None:
    app = Admission(Response("ok"), Capacity(1))
    read = asyncio.Event()
    slow = Exchange()

    async def send(message: Message) -> None:
        await slow.send(message)
        if message["type"] == "http.response.body":
            await read.wait()

    sending = asyncio.create_task(app(scope_of(), slow.receive, send))
    await asyncio.sleep(0)

    assert slow.status == 200
    assert (await exchanged(app, scope_of())).status == 200
    read.set()
    await sending
    assert (await exchanged(app, scope_of())).status == 200


async def test_sockets_are_not_counted() -> None:
    gate = Gate()
    app = Admission(gate, Capacity(1))
    sockets = [asyncio.create_task(exchanged(app, scope_of("websocket"))) for _ in range(3)]
    await asyncio.sleep(0)

    assert gate.entered == 3
    gate.opened.set()
    await asyncio.gather(*sockets)


async def test_refusals_are_one_line_together_and_none_of_their_own(
    log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capacity, "LOG_INTERVAL_SECONDS", 0.1)
    gate = Gate()
    app = RequestLog(Admission(gate, Capacity(1)))
    inside = asyncio.create_task(exchanged(app, scope_of()))
    await asyncio.sleep(0)
    for _ in range(100):
        assert (await exchanged(app, scope_of())).status == 503
    await asyncio.sleep(0.2)

    assert log == ["Overloaded: 100 requests refused in 0.1 s."]
    gate.opened.set()
    await inside
    assert log[1:] == ["GET / 200"]

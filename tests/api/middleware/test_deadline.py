import asyncio
import time

import httpx2
import pytest
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from platform_api.errors import DeadlineExceeded
from platform_api.middleware.deadline import CLOCK, Deadline, allow_time
from platform_api.operation import Operation
from platform_api.schema import Output
from platform_config import HttpSettings, Settings
from tests.api.conftest import World
from tests.api.middleware.requests import Exchange, exchanged, pieces, scope_of
from tests.api.shapes import assert_error

pytestmark = pytest.mark.anyio


class Outcome(Output):
    done: bool = True


async def endless() -> Outcome:
    await asyncio.Event().wait()
    return Outcome()


async def brief() -> Outcome:
    await asyncio.sleep(0.1)
    return Outcome()


async def asked(world: World, operation: Operation, *, request_timeout: float) -> httpx2.Response:
    world.settings = Settings(http=HttpSettings(request_timeout=request_timeout))
    world.trial.given = [operation]
    async with world.client() as client:
        return await client.get("/api/v1/trial")


async def test_a_handler_that_takes_too_long_is_stopped_and_answered_for(world: World) -> None:
    response = await asked(world, Operation("GET", "/trial", endless), request_timeout=0.05)

    assert_error(response, 504, "deadline_exceeded")


@pytest.mark.parametrize(
    ("operation", "request_timeout", "status"),
    [
        (Operation("GET", "/trial", endless, timeout=0.05), 30, 504),
        (Operation("GET", "/trial", brief, timeout=30), 0.05, 200),
    ],
)
async def test_an_operation_may_have_a_time_of_its_own(
    world: World, operation: Operation, request_timeout: float, status: int
) -> None:
    response = await asked(world, operation, request_timeout=request_timeout)

    assert response.status_code == status


async def test_a_time_out_of_the_handlers_own_is_not_the_deadline(world: World) -> None:
    async def failing() -> Outcome:
        raise TimeoutError

    response = await asked(world, Operation("GET", "/trial", failing), request_timeout=30)

    assert_error(response, 500, "internal_error")


async def test_who_cancels_a_request_meanwhile_is_obeyed() -> None:
    began = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        began.set()
        await asyncio.Event().wait()

    request = asyncio.create_task(exchanged(Deadline(app, seconds=30), scope_of()))
    await began.wait()
    request.cancel()

    with pytest.raises(asyncio.CancelledError):
        await request


async def test_waiting_for_the_clients_body_does_not_count() -> None:
    async def slow() -> Message:
        await asyncio.sleep(0.1)
        return pieces(b"")[0]

    given_back = 0.0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal given_back
        before = scope[CLOCK].when()
        await receive()
        given_back = scope[CLOCK].when() - before
        await Response("ok")(scope, receive, send)

    exchange = Exchange()
    began = time.monotonic()
    await Deadline(app, seconds=0.05)(scope_of(), slow, exchange.send)

    assert exchange.status == 200
    assert 0.09 < given_back <= time.monotonic() - began, "all of the wait and nothing more"


async def test_after_the_body_the_clock_goes_on() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await asyncio.Event().wait()

    with pytest.raises(DeadlineExceeded):
        await exchanged(Deadline(app, seconds=0.05), scope_of(), *pieces(b""))


@pytest.mark.parametrize("last_act", ["reads", "answers"])
async def test_an_app_that_still_reads_or_answers_when_it_is_stopped_is_out_of_time_all_the_same(
    last_act: str,
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await (receive() if last_act == "reads" else Response("late")(scope, receive, send))

    with pytest.raises(DeadlineExceeded):
        await exchanged(Deadline(app, seconds=0.01), scope_of(), *pieces(b"1"))


async def test_an_answer_that_has_started_may_take_its_time() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(0.1)
        await send({"type": "http.response.body", "body": b"late"})

    exchange = await exchanged(Deadline(app, seconds=0.05), scope_of())

    assert exchange.sent[-1]["body"] == b"late"


async def test_a_socket_has_no_deadline() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.1)

    await exchanged(Deadline(app, seconds=0.01), scope_of("websocket"))


async def test_the_time_allowed_counts_from_when_it_is_allowed() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.03)
        allow_time(scope, 0.05)
        await asyncio.sleep(0.03)
        await Response("ok")(scope, receive, send)

    exchange = await exchanged(Deadline(app, seconds=0.05), scope_of())

    assert exchange.status == 200

import asyncio

import pytest
from starlette.types import Message, Receive, Scope, Send

from platform_api.middleware.error_boundary import ErrorBoundary
from platform_domain.errors import Forbidden
from tests.api.middleware.requests import exchanged, scope_of

pytestmark = pytest.mark.anyio

STARTS: list[Message] = [
    {"type": "http.response.start", "status": 200, "headers": []},
    {"type": "websocket.http.response.start", "status": 403, "headers": []},
    {"type": "websocket.accept"},
]


def boundary(*sent: Message, error: BaseException) -> ErrorBoundary:
    """Return a boundary around an app that sends some messages and then fails."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in sent:
            await send(message)
        raise error

    return ErrorBoundary(app)


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("error", [Forbidden(), ValueError("a bug"), SystemExit(3)])
async def test_an_answer_that_has_started_is_not_followed_by_a_second(
    start: Message, error: BaseException
) -> None:
    type = "http" if start["type"].startswith("http") else "websocket"

    exchange = await exchanged(boundary(start, error=error), scope_of(type))

    assert exchange.sent == [start]


@pytest.mark.parametrize("type", ["http", "websocket"])
async def test_an_answer_that_has_not_started_is_the_error(type: str) -> None:
    exchange = await exchanged(boundary(error=Forbidden()), scope_of(type))

    assert exchange.status == 403
    assert [message["type"].rpartition(".")[2] for message in exchange.sent] == ["start", "body"]


async def test_a_cancelled_request_is_not_answered() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.Event().wait()

    request = asyncio.create_task(exchanged(ErrorBoundary(app), scope_of()))
    await asyncio.sleep(0)
    request.cancel()

    with pytest.raises(asyncio.CancelledError):
        await request

import asyncio

import httpx2
import pytest
from starlette.responses import Response

from platform_api.middleware.body_ceiling import BodyCeiling
from platform_api.server.last_answers import LastAnswers
from platform_api.server.lifecycle import Lifecycle
from tests.api.conftest import ALLOWED_ORIGIN, World
from tests.api.middleware.requests import Exchange, pieces, scope_of

pytestmark = pytest.mark.anyio

PREFLIGHT = {"origin": ALLOWED_ORIGIN, "access-control-request-method": "GET"}
EVERY_WAY_TO_BE_ANSWERED = pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/health/live", {}),
        ("GET", "/health/ready", {}),
        ("POST", "/health/live", {}),
        ("OPTIONS", "/api/v1/projects", PREFLIGHT),
        ("GET", "/api/v1/projects", {}),
        ("GET", "/nowhere", {}),
    ],
)


@EVERY_WAY_TO_BE_ANSWERED
async def test_a_server_that_drains_says_that_it_closes(
    world: World, client: httpx2.AsyncClient, method: str, path: str, headers: dict[str, str]
) -> None:
    before = await client.request(method, path, headers=headers)
    world.lifecycle.drain()
    during = await client.request(method, path, headers=headers)

    assert "connection" not in before.headers
    assert during.headers["connection"] == "close"


async def test_an_answer_that_closes_for_two_reasons_says_so_once() -> None:
    lifecycle = Lifecycle()
    lifecycle.drain()
    ceiling = BodyCeiling(
        Response("ok"), max_bytes=10, timeout=30, max_bodies=1, max_bodies_per_client=1
    )
    app = LastAnswers(ceiling, lifecycle)
    exchange = Exchange(pieces(b"1", whole=False))
    asyncio.get_running_loop().call_later(0.1, exchange.silence.set)

    await app(scope_of(content_length="9"), exchange.receive, exchange.send)

    assert exchange.sent[0]["headers"].count((b"connection", b"close")) == 1

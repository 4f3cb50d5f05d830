import httpx2
import pytest
from starlette.types import Scope

from tests.api.conftest import ALLOWED_ORIGIN, World
from tests.api.middleware.requests import exchanged, scope_of
from tests.api.shapes import assert_error

pytestmark = pytest.mark.anyio

TWICE = {
    "authorization": ("Bearer a", "Bearer b"),
    "content-type": ("application/json", "text/plain"),
    "cookie": ("session=a", "session=b"),
    "host": ("test", "evil.example.com"),
    "origin": (ALLOWED_ORIGIN, "https://evil.example.com"),
    "x-user-id": ("alice", "bob"),
}


@pytest.mark.parametrize("header", TWICE)
async def test_a_header_that_decides_about_trust_may_not_be_repeated(
    world: World, header: str
) -> None:
    first, second = TWICE[header]
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=world.app()), base_url="http://test"
    ) as client:
        response = await client.get(
            "/api/v1/projects", headers=[("x-user-id", "alice"), (header, first), (header, second)]
        )

    assert assert_error(response, 400, "header_repeated") == {"header": header}


@pytest.mark.parametrize("header", ["authorization", "cookie", "origin", "x-user-id"])
async def test_a_handshake_that_repeats_one_is_refused(world: World, header: str) -> None:
    scope = _handshake()
    scope["headers"] += [(header.encode(), value.encode()) for value in TWICE[header]]

    connect, leave = {"type": "websocket.connect"}, {"type": "websocket.disconnect"}
    exchange = await exchanged(world.app(), scope, connect, leave)

    assert exchange.sent[0]["type"] == "websocket.http.response.start"
    assert exchange.status == 400


async def test_other_headers_may_be_repeated(client: httpx2.AsyncClient) -> None:
    lists = [("accept", "text/html"), ("accept", "*/*"), ("via", "1.1 a"), ("via", "1.1 b")]

    assert (await client.get("/api/v1/projects", headers=lists)).status_code == 200


def _handshake() -> Scope:
    return scope_of("websocket", path="/api/v1/ws", host="test")

"""A socket too many is refused before it is accepted, and a plain GET says why."""

import json

import pytest

from platform_api.realtime.sockets import Sockets
from platform_config import SocketsSettings
from tests.api.conftest import World
from tests.api.middleware.requests import exchanged, scope_of
from tests.api.realtime.peers import Peer, joined
from tests.api.shapes import assert_error

pytestmark = pytest.mark.anyio

PATH = "/api/v1/ws"
REFUSALS = pytest.mark.parametrize(
    ("limits", "status", "code"),
    [
        (SocketsSettings(max=1), 503, "sockets_full"),
        (SocketsSettings(max_per_user=1), 429, "too_many_sockets"),
    ],
)


def crowded(world: World, limits: SocketsSettings) -> None:
    world.sockets = Sockets(limits)
    joined(world.sockets, Peer(), "alice")


@REFUSALS
async def test_a_plain_get_is_told(
    world: World, limits: SocketsSettings, status: int, code: str
) -> None:
    crowded(world, limits)
    async with world.client() as client:
        response = await client.get(PATH)

    assert_error(response, status, code)
    assert response.headers["retry-after"] == "1"


@REFUSALS
async def test_a_handshake_is_refused(
    world: World, limits: SocketsSettings, status: int, code: str
) -> None:
    crowded(world, limits)

    exchange = await exchanged(
        world.app(), scope_of("websocket", path=PATH, x_user_id="alice", host="test")
    )

    assert exchange.sent[0]["type"] == "websocket.http.response.start"
    assert exchange.status == status
    assert json.loads(exchange.sent[1]["body"])["code"] == code
    assert exchange.headers["x-content-type-options"] == "nosniff"
    assert len(world.sockets) == 1

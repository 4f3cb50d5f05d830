"""A bug below a socket ends that socket, whatever its peer does."""

import asyncio

import pytest
from loguru import logger
from starlette.types import Message

from platform_api.realtime import endpoint
from platform_api.realtime.close_codes import CloseCode
from tests.api.conftest import World
from tests.api.middleware.requests import scope_of
from tests.api.realtime.peers import Peer

pytestmark = pytest.mark.anyio


class BrokenWire(Peer):
    """Accepted, and then the server's code below it fails."""

    def __init__(self) -> None:
        super().__init__()
        self._connects: list[Message] = [{"type": "websocket.connect"}]

    async def receive(self) -> Message:
        if self._connects:
            return self._connects.pop()
        raise RuntimeError("a bug below us")


async def served(world: World, peer: Peer) -> None:
    scope = scope_of("websocket", path="/api/v1/ws", x_user_id="alice", host="test")
    logger.disable("platform_api")
    try:
        await asyncio.wait_for(world.app()(scope, peer.receive, peer.send), 5)
    finally:
        logger.enable("platform_api")


async def test_a_bug_is_told_by_its_close_code(world: World) -> None:
    peer = BrokenWire()

    await served(world, peer)

    assert peer.close_code == CloseCode.INTERNAL_ERROR
    assert not len(world.sockets)


async def test_a_peer_that_reads_nothing_does_not_keep_a_broken_socket(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint, "GOODBYE_SECONDS", 0.01)

    class Deaf(BrokenWire):
        async def send(self, message: Message) -> None:
            if message["type"] != "websocket.accept":
                await asyncio.Event().wait()

    await served(world, Deaf())

    assert not len(world.sockets)

import asyncio
import gc

import pytest
from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import connect

from platform_api.server.binding import bind
from platform_api.server.hardening.limits import Limits
from platform_api.server.hardening.strict_http import StrictConnection
from platform_api.server.hypercorn import serve
from platform_config import HttpSettings, SocketsSettings

pytestmark = pytest.mark.anyio

LIMITS = Limits.of(HttpSettings(), SocketsSettings())


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


def parsers() -> list[object]:
    gc.collect()
    return [each for each in gc.get_objects() if isinstance(each, StrictConnection)]


async def test_a_websocket_keeps_no_parser_of_http_and_works() -> None:
    bound, stop, listening = bind("127.0.0.1", 0), asyncio.Event(), asyncio.Event()
    port = bound.getsockname()[1]
    before = len(parsers())
    serving = asyncio.create_task(
        serve(
            echo, [bound], stop=stop, on_listening=listening.set, drain_timeout=1.0, limits=LIMITS
        )
    )
    await listening.wait()

    async with connect(f"ws://127.0.0.1:{port}/") as ws:
        await ws.send("a")
        assert await ws.recv() == "a"
        assert len(parsers()) == before

    stop.set()
    await asyncio.wait_for(serving, 5)

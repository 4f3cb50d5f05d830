"""Which pages may connect, and what becomes of a socket when the code below it fails."""

import asyncio

import pytest
from loguru import logger
from starlette.types import ASGIApp, Message

from platform_api.realtime import endpoint
from platform_api.realtime.close_codes import CloseCode
from platform_config import CorsSettings
from tests.api.conftest import ALLOWED_ORIGIN, World
from tests.api.middleware.requests import exchanged, scope_of
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


OWN = "api.example.com"
ORIGINS = [
    # Origin, Host, whether a socket opens.
    (ALLOWED_ORIGIN, OWN, True),
    (f"{ALLOWED_ORIGIN}:443", OWN, True),
    (ALLOWED_ORIGIN.upper(), OWN, True),
    (ALLOWED_ORIGIN.replace("https", "http"), OWN, False),
    (f"{ALLOWED_ORIGIN}:8443", OWN, False),
    (f"{ALLOWED_ORIGIN}/", OWN, False),
    (f"{ALLOWED_ORIGIN}.evil.org", OWN, False),
    ("capacitor://localhost", OWN, True),
    ("https://api.example.com", OWN, True),
    ("http://api.example.com", OWN, True),
    ("https://API.example.com", "Api.Example.com", True),
    ("https://api.example.com", "api.example.com:443", True),
    ("https://api.example.com:443", OWN, True),
    ("http://api.example.com", "api.example.com:80", True),
    ("https://api.example.com:8443", "api.example.com:8443", True),
    ("https://[::1]:8443", "[::1]:8443", True),
    ("http://api.example.com", "api.example.com:443", False),
    ("https://api.example.com", "api.example.com:80", False),
    ("https://api.example.com:8443", OWN, False),
    ("https://api.example.com", "backend:8000", False),
    ("ftp://api.example.com", OWN, False),
    ("evil://api.example.com", OWN, False),
    ("https://api.example.com/", OWN, False),
    ("https://api.example.com#", OWN, False),
    ("https://alice@api.example.com", OWN, False),
    ("https://evil.org", OWN, False),
    ("api.example.com", OWN, False),
    ("null", OWN, False),
    ("null", "null", False),
    ("", OWN, False),
    ("", "", False),
    ("http://", "", False),
]


def app_for(world: World, *origins: str) -> ASGIApp:
    cors = CorsSettings(origins=origins)
    world.settings = world.settings.model_copy(update={"cors": cors})
    return world.app()


async def status_of(app: ASGIApp, type: str, **headers: str) -> int:
    """Return what a page is answered: to its upgrade (101 for an open socket), or to a GET."""
    scope = scope_of(type, path="/api/v1/ws", x_user_id="alice", **headers)
    incoming: list[Message] = [{"type": "websocket.connect"}, {"type": "websocket.disconnect"}]
    exchange = await exchanged(app, scope, *incoming)
    return 101 if exchange.sent[0]["type"] == "websocket.accept" else exchange.status


@pytest.mark.parametrize(("origin", "host", "opens"), ORIGINS)
async def test_an_origin_is_compared_whole_and_a_get_is_answered_alike(
    world: World, origin: str, host: str, opens: bool
) -> None:
    app = app_for(world, ALLOWED_ORIGIN, "capacitor://localhost")

    upgrade = await status_of(app, "websocket", host=host, origin=origin)
    get = await status_of(app, "http", host=host, origin=origin)

    assert (upgrade, get) == ((101, 426) if opens else (403, 403))


PAGES = [row for row in ORIGINS if row[0].count("/") == 2]


@pytest.mark.parametrize(("origin", "host", "opens"), PAGES)
async def test_without_an_origin_the_referer_says_which_page_asks(
    world: World, origin: str, host: str, opens: bool
) -> None:
    app = app_for(world, ALLOWED_ORIGIN, "capacitor://localhost")

    get = await status_of(app, "http", host=host, referer=f"{origin}/projects?tab=//a")

    assert get == (426 if opens else 403)


async def test_an_upgrade_never_goes_by_its_referer(world: World) -> None:
    referer = "https://evil.org/"

    assert await status_of(world.app(), "websocket", host=OWN, referer=referer) == 101


async def test_the_origin_counts_more_than_the_referer(world: World) -> None:
    given = {"host": OWN, "origin": "https://evil.org", "referer": f"https://{OWN}/"}

    assert await status_of(world.app(), "http", **given) == 403


async def test_with_every_origin_allowed_every_page_may_connect(world: World) -> None:
    for origin in ("https://evil.org", "null"):
        assert await status_of(app_for(world, "*"), "websocket", host=OWN, origin=origin) == 101


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

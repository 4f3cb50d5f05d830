"""WebSockets on the real server, with a real client."""

import asyncio
import json
import signal
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx2
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests import processes
from tests.api.conftest import ALLOWED_ORIGIN
from tests.api.shapes import assert_error
from tests.e2e.hardening import client as raw_client
from tests.processes import Program

pytestmark = pytest.mark.anyio


@contextmanager
def listening(**options: object) -> Iterator[Program]:
    with processes.started("tests.e2e.realtime.program", **options) as program:
        program.wait_until_listening()
        yield program


@pytest.fixture(scope="module")
def shared() -> Iterator[Program]:
    with listening() as program:
        yield program


def url(program: Program, user: str | None = "alice") -> str:
    query = f"?user={user}" if user else ""
    return f"ws://127.0.0.1:{program.port}/api/v1/ws{query}"


@asynccontextmanager
async def connected(
    program: Program, user: str = "alice", **options: Any
) -> AsyncIterator[ClientConnection]:
    """A socket that has been welcomed."""
    async with connect(url(program, user), **options) as ws:
        welcome = await said(ws)
        assert welcome["type"] == "welcome"
        assert welcome["user"] == user
        yield ws


async def say(ws: ClientConnection, **message: object) -> dict[str, Any]:
    await ws.send(json.dumps(message))
    return await said(ws)


async def said(ws: ClientConnection, seconds: float = 10) -> dict[str, Any]:
    return dict(json.loads(await asyncio.wait_for(ws.recv(), seconds)))


def http(program: Program, user: str = "alice") -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        base_url=f"http://127.0.0.1:{program.port}", headers={"x-user-id": user}, timeout=30
    )


async def held(program: Program) -> dict[str, int]:
    async with http(program) as client:
        return dict((await client.get("/api/v1/trial/held")).json())


async def until(program: Program, what: Callable[[dict[str, int]], bool]) -> dict[str, int]:
    """Wait until the server holds what is asked for."""
    deadline = time.monotonic() + 10
    while not what(now := await held(program)):
        assert time.monotonic() < deadline, f"the server still holds {now}"
        await asyncio.sleep(0.02)
    return now


async def nothing_left(program: Program) -> None:
    await until(program, lambda now: not any(now.values()))


async def test_a_socket_is_welcomed_and_answers(shared: Program) -> None:
    async with connected(shared) as ws:
        assert await say(ws, type="ping", id="1") == {"type": "pong", "id": "1"}
        assert await say(ws, type="who_am_i") == {"type": "you_are", "user": "alice"}
    await nothing_left(shared)


async def test_a_user_hears_what_happened_to_their_projects_on_every_socket(
    shared: Program,
) -> None:
    async with (
        connected(shared) as first,
        connected(shared) as second,
        connected(shared, "bob") as other,
        http(shared) as client,
    ):
        for ws, user in ((first, "alice"), (second, "alice"), (other, "bob")):
            reply = await say(ws, type="subscribe", topic=f"user:{user}")
            assert reply["type"] == "subscribed"
        now = await held(shared)
        assert (now["sockets"], now["of_alice"], now["of_topic"]) == (3, 2, 2)

        project = (await client.post("/api/v1/projects", json={"name": "a"})).json()
        await client.patch(f"/api/v1/projects/{project['id']}", json={"name": "b"})
        await client.delete(f"/api/v1/projects/{project['id']}")

        for ws in (first, second):
            events = [await said(ws) for _ in range(3)]
            assert [e["data"]["type"] for e in events] == [
                "project.created",
                "project.renamed",
                "project.deleted",
            ]
            assert {e["data"]["id"] for e in events} == {project["id"]}
            offsets = [e["position"]["offset"] for e in events]
            assert offsets == list(range(offsets[0], offsets[0] + 3))
        assert await say(other, type="ping") == {"type": "pong"}, "bob heard nothing before"
    await nothing_left(shared)


async def test_the_server_offers_its_way_past_the_queues(shared: Program) -> None:
    async with connected(shared), connected(shared), http(shared) as client:
        paths = (await client.get("/api/v1/trial/paths")).json()

    assert paths == {"sockets": 2, "direct": 2}


async def test_who_unsubscribed_hears_no_more(shared: Program) -> None:
    async with connected(shared) as ws, http(shared) as client:
        await say(ws, type="subscribe", topic="user:alice")
        reply = await say(ws, type="unsubscribe", topic="user:alice", id="7")
        assert reply == {"type": "unsubscribed", "topic": "user:alice", "id": "7"}

        await client.post("/api/v1/projects", json={"name": "unheard"})

        assert await say(ws, type="ping") == {"type": "pong"}


@pytest.mark.parametrize("text", ["nonsense", "{}", b"bytes", '{"type":"misbehave","how":1}'])
async def test_malformed_input_gets_an_error_and_the_socket_stays(
    shared: Program, text: str | bytes
) -> None:
    async with connected(shared) as ws:
        await ws.send(text)
        error = await said(ws)

        assert (error["type"], error["code"]) == ("error", "validation_failed")
        assert error["details"]["errors"]
        assert await say(ws, type="ping") == {"type": "pong"}


@pytest.mark.parametrize(
    ("how", "code"),
    [("bug", "internal_error"), ("exit", "internal_error"), ("conflict", "conflict")],
)
async def test_an_error_of_a_handler_is_told_and_the_socket_stays(
    shared: Program, how: str, code: str
) -> None:
    async with connected(shared) as ws:
        error = await say(ws, type="misbehave", how=how, id="1")

        assert (error["type"], error["code"], error["id"]) == ("error", code, "1")
        assert "ZeroDivision" not in str(error)
        assert await say(ws, type="ping") == {"type": "pong"}
    await nothing_left(shared)


async def test_a_message_that_is_sent_again_does_nothing_twice(shared: Program) -> None:
    async with connected(shared) as ws:
        first = await say(ws, type="count", id="once")
    async with connected(shared) as ws, connected(shared, "bob") as other:
        assert await say(ws, type="count", id="once") == first
        assert (await say(other, type="count", id="once"))["times"] == first["times"] + 1
        assert (await say(ws, type="count"))["times"] == first["times"] + 2


async def test_who_comes_back_gets_what_was_missed_in_order(shared: Program) -> None:
    async with connected(shared) as ws, http(shared) as client:
        place = (await say(ws, type="subscribe", topic="user:alice"))["position"]
        await client.post("/api/v1/projects", json={"name": "heard"})
        place = (await said(ws))["position"]
    async with http(shared) as client:
        for name in ("missed 1", "missed 2"):
            await client.post("/api/v1/projects", json={"name": name})

    async with connected(shared) as ws, http(shared) as client:
        back = await say(ws, type="subscribe", topic="user:alice", since=place)
        await client.post("/api/v1/projects", json={"name": "live"})
        events = [await said(ws) for _ in range(3)]

        assert back["recovered"] is True
        assert [event["data"]["name"] for event in events] == ["missed 1", "missed 2", "live"]
        offsets = [event["position"]["offset"] for event in events]
        assert offsets == [place["offset"] + n for n in (1, 2, 3)]
        unknown = {"epoch": "lost", "offset": 1}
        again = await say(ws, type="subscribe", topic="user:alice", since=unknown)
        assert again["recovered"] is False


async def test_a_flood_of_messages_is_closed_with_its_own_code(shared: Program) -> None:
    async with connected(shared) as ws:
        with pytest.raises(ConnectionClosed):
            await flooded(ws)

        assert ws.close_code == 4429
    await nothing_left(shared)


async def flooded(ws: ClientConnection) -> None:
    for _ in range(1000):
        await ws.send('{"type":"ping"}')
    while True:
        await said(ws)


async def test_a_topic_of_somebody_else_is_refused(shared: Program) -> None:
    async with connected(shared) as ws:
        error = await say(ws, type="subscribe", topic="user:bob", id="1")

        assert (error["code"], error["id"]) == ("topic_forbidden", "1")
        assert (await say(ws, type="subscribe", topic="nothing"))["code"] == "topic_not_found"


REFUSALS = [
    ({}, None, 401, "unauthenticated"),
    ({"origin": "https://evil.example.com"}, "alice", 403, "origin_forbidden"),
    ({"origin": "https://127.0.0.1"}, "alice", 403, "origin_forbidden"),
    ({"origin": "null"}, "alice", 403, "origin_forbidden"),
]


@pytest.mark.parametrize(("headers", "user", "status", "code"), REFUSALS)
async def test_a_handshake_is_refused_before_it_succeeds_and_a_get_says_the_same(
    shared: Program, headers: dict[str, str], user: str | None, status: int, code: str
) -> None:
    with pytest.raises(InvalidStatus) as caught:
        await connect(url(shared, user), additional_headers=headers)
    async with httpx2.AsyncClient() as client:
        answer = await client.get(url(shared, user).replace("ws:", "http:"), headers=headers)

    refusal = caught.value.response
    assert refusal.status_code == status
    assert refusal.headers["content-type"] == "application/json"
    assert refusal.headers["x-request-id"]
    assert json.loads(refusal.body or b"")["code"] == code
    assert_error(answer, status, code)
    await nothing_left(shared)


async def test_an_allowed_origin_may_connect(shared: Program) -> None:
    async with connected(shared, additional_headers={"origin": ALLOWED_ORIGIN}) as ws:
        assert await say(ws, type="ping") == {"type": "pong"}


async def test_a_page_of_the_servers_own_address_may_connect(shared: Program) -> None:
    own = f"https://127.0.0.1:{shared.port}"
    async with connected(shared, additional_headers={"origin": own}) as ws:
        assert await say(ws, type="ping") == {"type": "pong"}


async def test_a_page_behind_a_proxy_that_rewrites_the_host_finds_out_why(shared: Program) -> None:
    """Its browser sends Origin with the upgrade, but only Referer with a GET to its own address."""
    page = "https://app.example.org"
    with pytest.raises(InvalidStatus) as caught:
        await connect(url(shared), additional_headers={"origin": page})
    async with httpx2.AsyncClient() as client:
        address = url(shared).replace("ws:", "http:")
        answer = await client.get(address, headers={"referer": f"{page}/projects"})

    assert caught.value.response.status_code == 403
    assert_error(answer, 403, "origin_forbidden")
    assert "CORS_ORIGINS" in answer.json()["error"]
    assert answer.json() == json.loads(caught.value.response.body or b"")


@pytest.mark.parametrize("header", ["Origin", "X-User-Id", "Authorization", "Cookie", "Host"])
async def test_a_repeated_header_of_trust_opens_no_socket(shared: Program, header: str) -> None:
    values = {"Origin": (ALLOWED_ORIGIN, "https://evil.example.com")}.get(header, ("a", "b"))
    with raw_client.connected(shared.port) as peer:
        answer = peer.upgrade("/api/v1/ws?user=alice", *(f"{header}: {each}" for each in values))

    assert answer.status == 400
    if header != "Host":  # That one is refused by the parser, whose answers have no body.
        assert answer.json["details"] == {"header": header.lower()}
    await nothing_left(shared)


async def test_a_get_that_would_have_been_let_in_is_told_to_upgrade(shared: Program) -> None:
    async with httpx2.AsyncClient() as client:
        address = url(shared).replace("ws:", "http:")
        answer = await client.get(address)
        posted = await client.post(address)

    assert_error(answer, 426, "upgrade_required")
    assert answer.headers["upgrade"] == "websocket"
    assert_error(posted, 405, "method_not_allowed")


async def test_a_socket_to_another_address_is_refused_as_json(shared: Program) -> None:
    with pytest.raises(InvalidStatus) as caught:
        await connect(url(shared).replace("/ws", "/nothing"))

    assert caught.value.response.status_code == 404
    assert json.loads(caught.value.response.body or b"")["code"] == "route_not_found"


async def test_a_client_that_closes_leaves_nothing_behind(shared: Program) -> None:
    async with connected(shared) as ws:
        await say(ws, type="subscribe", topic="user:alice")
        await ws.close(1000)

    await nothing_left(shared)


async def test_a_client_that_aborts_leaves_nothing_behind(shared: Program) -> None:
    async with connected(shared) as ws:
        await say(ws, type="subscribe", topic="user:alice")
        raw = ws.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        ws.transport.abort()

    await nothing_left(shared)


async def test_a_client_that_leaves_a_hanging_handler_leaves_nothing_behind(
    shared: Program,
) -> None:
    async with connected(shared) as ws:
        await ws.send(json.dumps({"type": "misbehave", "how": "hang"}))
        await until(shared, lambda now: now["sockets"] == 1)

    await nothing_left(shared)


async def test_a_socket_that_does_not_read_does_not_slow_another(shared: Program) -> None:
    """One of alice's sockets stops reading while far more is told than its buffers hold."""
    async with (
        connected(shared) as reader,
        connected(
            shared, max_queue=1, ping_interval=None, close_timeout=1, compression=None
        ) as stuck,
        http(shared) as client,
    ):
        for ws in (reader, stuck):
            await say(ws, type="subscribe", topic="user:alice")
        stuck.transport.pause_reading()
        broadcasting = asyncio.create_task(client.post("/api/v1/trial/broadcast"))

        gaps = []
        for _ in range(700):
            started = time.monotonic()
            await said(reader)
            gaps.append(time.monotonic() - started)
        assert (await broadcasting).status_code == 200

        assert max(gaps) < 2, "ten times what was measured, and far below the stuck one's deadline"
        await until(shared, lambda now: now["sockets"] == 1)

        stuck.transport.resume_reading()
        with pytest.raises(ConnectionClosed):
            async for _ in stuck:
                pass
        assert stuck.close_code == 4413, "it is told why, although it read nothing"
    await nothing_left(shared)


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
async def test_a_stop_lets_sockets_request_and_task_go_in_order(loop: str) -> None:
    with listening(loop=loop) as program:
        async with (
            connected(program) as first,
            connected(program, "bob") as second,
            http(program) as client,
        ):
            slow = asyncio.create_task(client.post("/api/v1/trial/slow"))
            await asyncio.sleep(0.2)
            program.signal(signal.SIGTERM)
            signalled = time.monotonic()

            goodbyes = []
            for ws in (first, second):
                goodbyes.append(await said(ws))
                with pytest.raises(ConnectionClosed):
                    await ws.recv()
                assert ws.close_code == 1012
            closed_after = time.monotonic() - signalled

            assert (await slow).status_code == 200
        assert program.exit_code() == 0

    assert [goodbye["type"] for goodbye in goodbyes] == ["goodbye", "goodbye"]
    assert all(goodbye["reconnect_after_ms"] > 0 for goodbye in goodbyes)
    assert closed_after < 0.5
    assert "task told" in program.output
    assert "1 requests finished, 0 cancelled" in program.output


async def test_a_stop_does_not_wait_for_a_socket_that_never_answers() -> None:
    with listening() as program:
        async with connected(program) as ws:
            ws.transport.pause_reading()
            started = time.monotonic()
            program.signal(signal.SIGTERM)

            assert await asyncio.to_thread(program.exit_code) == 0
            assert time.monotonic() - started < 5
            ws.transport.abort()


async def test_a_task_that_crashes_for_ever_is_logged_and_seen_in_health() -> None:
    with listening(task="crashing") as program:
        program.wait_for("Task crashing crashed")
        async with http(program) as client:
            assert (await client.get("/health/live")).status_code == 200

import asyncio
import re
import time
from typing import Any

import httpx2
import pytest
from loguru import logger
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from platform_api.middleware.request_log import RequestLog
from tests.api.middleware.requests import exchanged, scope_of

pytestmark = pytest.mark.anyio

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture
def log() -> Any:
    lines: list[Any] = []
    sink = logger.add(lambda message: lines.append(message.record["extra"]), level="INFO")
    yield lines
    logger.remove(sink)


async def test_a_request_is_one_line_with_all_its_fields(
    client: httpx2.AsyncClient, log: list[dict[str, Any]]
) -> None:
    project = (await client.post("/api/v1/projects", json={"name": "a"})).json()
    log.clear()

    await client.get(
        f"/api/v1/projects/{project['id']}?user=secret", headers={"x-request-id": "abc-1"}
    )

    (line,) = log
    assert line["method"] == "GET"
    assert line["route"] == "/api/v1/projects/{id}"
    assert line["path"] == f"/api/v1/projects/{project['id']}"
    assert line["status"] == 200
    assert line["request_id"] == "abc-1"
    assert line["user"] == "alice"
    assert 0 < line["duration_ms"] < 10_000
    assert re.fullmatch(r"[0-9a-f]{32}", line["trace_id"])


async def test_the_duration_is_how_long_it_took(log: list[dict[str, Any]]) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.05)
        await Response("ok")(scope, receive, send)

    began = time.perf_counter()
    await exchanged(RequestLog(app), scope_of())

    assert 40 < log[0]["duration_ms"] <= (time.perf_counter() - began) * 1000 + 0.01


@pytest.mark.parametrize("code", [1000, 4413])
async def test_the_line_of_a_socket_has_its_close_code(
    log: list[dict[str, Any]], code: int
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        scope["close_code"] = code

    await exchanged(RequestLog(app), scope_of("websocket"))

    assert (log[0]["status"], log[0]["close_code"]) == (101, code)


async def test_the_line_of_a_request_has_no_close_code(
    client: httpx2.AsyncClient, log: list[dict[str, Any]]
) -> None:
    await client.get("/nowhere")

    assert "close_code" not in log[0]


async def test_a_client_that_left_before_the_answer_is_a_499(log: list[dict[str, Any]]) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None: ...

    await exchanged(RequestLog(app), scope_of())

    assert log[0]["status"] == 499


async def test_a_request_to_nowhere_is_logged_without_route_and_user(
    client: httpx2.AsyncClient, log: list[dict[str, Any]]
) -> None:
    await client.get("/nowhere")

    assert [(line["route"], line["user"], line["status"]) for line in log] == [(None, None, 404)]


async def test_probes_leave_no_line(client: httpx2.AsyncClient, log: list[dict[str, Any]]) -> None:
    await client.get("/health/live")

    assert log == []


@pytest.mark.parametrize("given", ["abc-1", "A.b_c-9", "x" * 64])
async def test_a_well_formed_request_id_is_kept(client: httpx2.AsyncClient, given: str) -> None:
    response = await client.get("/api/v1/projects", headers={"x-request-id": given})

    assert response.headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "a\tb", "é", "a;b", "<script>"])
async def test_an_ill_formed_request_id_is_replaced(client: httpx2.AsyncClient, given: str) -> None:
    response = await client.get(
        "/api/v1/projects", headers=[(b"x-request-id", given.encode("latin-1"))]
    )

    assert re.fullmatch(r"[0-9a-f]{32}", response.headers["x-request-id"])


async def test_a_trace_is_carried_on(client: httpx2.AsyncClient, log: list[dict[str, Any]]) -> None:
    traceparent = f"00-{TRACE}-00f067aa0ba902b7-01"

    response = await client.get("/api/v1/projects", headers={"traceparent": traceparent})

    assert log[0]["trace_id"] == TRACE
    assert response.headers["x-request-id"] == TRACE


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        f"00-{TRACE}-00f067aa0ba902b7",
        f"ff-{TRACE}-00f067aa0ba902b7-01",
        f"00-{TRACE.upper()}-00f067aa0ba902b7-01",
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-{TRACE}-{'0' * 16}-01",
    ],
)
async def test_an_ill_formed_trace_is_replaced(
    client: httpx2.AsyncClient, log: list[dict[str, Any]], traceparent: str
) -> None:
    await client.get("/api/v1/projects", headers={"traceparent": traceparent})

    assert log[0]["trace_id"] != TRACE
    assert re.fullmatch(r"[0-9a-f]{32}", log[0]["trace_id"])

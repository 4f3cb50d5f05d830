import asyncio

import httpx2
import pytest

from platform_api.operation import Operation
from platform_config import CorsSettings
from tests.api.conftest import ALLOWED_ORIGIN, World
from tests.api.shapes import assert_error

pytestmark = pytest.mark.anyio

FOREIGN_ORIGIN = "https://evil.example.com"


def preflight(origin: str, method: str = "PATCH") -> dict[str, str]:
    return {
        "origin": origin,
        "access-control-request-method": method,
        "access-control-request-headers": "content-type,x-user-id",
    }


async def test_an_allowed_origin_may_read_answers(client: httpx2.AsyncClient) -> None:
    response = await client.get("/api/v1/projects", headers={"origin": ALLOWED_ORIGIN})

    assert response.headers["access-control-allow-origin"] == ALLOWED_ORIGIN
    exposed = response.headers["access-control-expose-headers"].split(", ")
    assert {"X-Request-ID", "Location"} <= set(exposed)
    assert "Origin" in response.headers["vary"]


async def test_an_allowed_origin_may_read_errors(client: httpx2.AsyncClient) -> None:
    response = await client.get("/nowhere", headers={"origin": ALLOWED_ORIGIN})

    assert_error(response, 404, "route_not_found")
    assert response.headers["access-control-allow-origin"] == ALLOWED_ORIGIN


@pytest.mark.parametrize("origin", [FOREIGN_ORIGIN, "null", f"{ALLOWED_ORIGIN}.evil.example"])
async def test_a_foreign_origin_may_not_read_answers(
    client: httpx2.AsyncClient, origin: str
) -> None:
    response = await client.get("/api/v1/projects", headers={"origin": origin})

    assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
async def test_of_two_origins_none_may_read_the_answer(
    client: httpx2.AsyncClient, method: str
) -> None:
    headers = [*preflight(ALLOWED_ORIGIN).items(), ("origin", FOREIGN_ORIGIN)]

    response = await client.request(method, "/api/v1/projects", headers=headers)

    assert_error(response, 400, "header_repeated")
    assert "access-control-allow-origin" not in response.headers


async def test_a_preflight_of_an_allowed_origin_is_granted(client: httpx2.AsyncClient) -> None:
    response = await client.options("/api/v1/projects", headers=preflight(ALLOWED_ORIGIN))

    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == ALLOWED_ORIGIN
    assert "PATCH" in response.headers["access-control-allow-methods"]


@pytest.mark.parametrize("names", ["", " ", ",", "content-type, ,x-user-id,"])
async def test_a_preflight_may_leave_names_of_headers_out(
    client: httpx2.AsyncClient, names: str
) -> None:
    headers = preflight(ALLOWED_ORIGIN) | {"access-control-request-headers": names}

    assert (await client.options("/api/v1/projects", headers=headers)).status_code == 200


async def test_a_refused_preflight_has_the_one_error_shape(client: httpx2.AsyncClient) -> None:
    foreign = await client.options("/api/v1/projects", headers=preflight(FOREIGN_ORIGIN))
    odd_method = await client.options(
        "/api/v1/projects", headers=preflight(ALLOWED_ORIGIN, "TRACE")
    )

    assert_error(foreign, 400, "cors_refused")
    assert "access-control-allow-origin" not in foreign.headers
    assert_error(odd_method, 400, "cors_refused")
    assert odd_method.headers["access-control-allow-origin"] == ALLOWED_ORIGIN
    assert "Origin" in odd_method.headers["vary"]


async def test_credentials_are_allowed_only_when_they_are_set(world: World) -> None:
    allowed = []
    for credentials in (False, True):
        cors = CorsSettings(origins=(ALLOWED_ORIGIN,), credentials=credentials)
        world.settings = world.settings.model_copy(update={"cors": cors})
        async with world.client() as client:
            response = await client.get("/api/v1/projects", headers={"origin": ALLOWED_ORIGIN})
        allowed.append(response.headers.get("access-control-allow-credentials"))

    assert allowed == [None, "true"]


async def test_a_request_cut_off_by_the_stop_can_be_read_by_the_page(world: World) -> None:
    begun = asyncio.Event()

    async def handler() -> None:
        begun.set()
        await asyncio.Event().wait()

    world.trial.given = [Operation("POST", "/trial", handler, status=204)]
    async with world.client(origin=ALLOWED_ORIGIN) as client:
        asking = asyncio.create_task(client.post("/api/v1/trial"))
        await begun.wait()
        world.lifecycle.drain()
        world.lifecycle.cancel_requests()
        response = await asking

    assert_error(response, 503, "shutting_down")
    assert response.headers["access-control-allow-origin"] == ALLOWED_ORIGIN
    assert response.headers["x-request-id"]


async def test_a_page_may_send_a_key_and_see_that_the_answer_was_kept(
    client: httpx2.AsyncClient,
) -> None:
    asked = {"access-control-request-headers": "content-type,idempotency-key"}
    granted = await client.options(
        "/api/v1/projects", headers=preflight(ALLOWED_ORIGIN, "POST") | asked
    )
    answer = await client.get("/api/v1/projects", headers={"origin": ALLOWED_ORIGIN})

    assert granted.status_code == 200
    assert "Idempotency-Key" in granted.headers["access-control-allow-headers"]
    assert "Idempotency-Replayed" in answer.headers["access-control-expose-headers"]


async def granted_headers(client: httpx2.AsyncClient, *names: str) -> int:
    asked = {"access-control-request-headers": ",".join(names)}
    response = await client.options("/api/v1/projects", headers=preflight(ALLOWED_ORIGIN) | asked)
    if response.status_code != 200:
        assert_error(response, 400, "cors_refused")
    return response.status_code


async def test_a_page_may_send_what_the_api_reads_and_what_tracing_adds(
    client: httpx2.AsyncClient,
) -> None:
    api = ("authorization", "content-type", "idempotency-key", "x-request-id", "x-user-id")
    tracing = ("traceparent", "tracestate", "baggage", "sentry-trace")

    assert await granted_headers(client, *api, *tracing, "if-match", "if-none-match") == 200
    assert await granted_headers(client, "x-other") == 400


async def test_the_setting_replaces_what_a_page_may_send(world: World) -> None:
    cors = CorsSettings(origins=(ALLOWED_ORIGIN,), headers=("X-Other",))
    world.settings = world.settings.model_copy(update={"cors": cors})
    async with world.client() as client:
        assert await granted_headers(client, "x-other") == 200
        assert await granted_headers(client, "X-OTHER", "accept-language") == 200
        assert await granted_headers(client, "x-other", "traceparent") == 400


async def test_with_a_star_a_page_may_send_any_header(world: World) -> None:
    cors = CorsSettings(origins=(ALLOWED_ORIGIN,), headers=("*",), credentials=True)
    world.settings = world.settings.model_copy(update={"cors": cors})
    async with world.client() as client:
        assert await granted_headers(client, "x-other", "authorization") == 200


async def test_a_page_may_read_the_headers_of_our_answers(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/api/v1/projects", headers={"origin": ALLOWED_ORIGIN})

    exposed = answer.headers["access-control-expose-headers"].split(", ")
    assert {"X-Request-ID", "Retry-After", "Location", "ETag"} <= set(exposed)

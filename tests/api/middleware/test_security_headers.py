import httpx2
import pytest
from starlette.responses import Response

from platform_api.middleware.security_headers import SecurityHeaders
from tests.api.conftest import ALLOWED_ORIGIN
from tests.api.middleware.requests import exchanged, scope_of

pytestmark = pytest.mark.anyio

EXPECTED = {
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


@pytest.mark.parametrize("path", ["/api/v1/projects", "/nowhere", "/health/live", "/api/v1/ws"])
async def test_every_answer_has_them(client: httpx2.AsyncClient, path: str) -> None:
    headers = (await client.get(path)).headers

    assert EXPECTED.items() <= dict(headers).items()
    assert "server" not in headers


async def test_a_preflight_has_them(client: httpx2.AsyncClient) -> None:
    response = await client.options(
        "/api/v1/projects",
        headers={"origin": ALLOWED_ORIGIN, "access-control-request-method": "GET"},
    )

    assert EXPECTED.items() <= dict(response.headers).items()


async def test_the_page_of_the_documentation_keeps_its_own_policy(
    client: httpx2.AsyncClient,
) -> None:
    headers = (await client.get("/docs")).headers

    assert "script-src 'self'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


async def test_what_a_handler_has_set_stays() -> None:
    app = SecurityHeaders(Response("ok", headers={"Cache-Control": "max-age=60"}))

    exchange = await exchanged(app, scope_of())

    assert exchange.headers["cache-control"] == "max-age=60"

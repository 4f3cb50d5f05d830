import httpx2
import pytest

from tests.api.conftest import ALLOWED_ORIGIN
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
    assert "X-Request-ID" in response.headers["access-control-expose-headers"]
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


async def test_a_preflight_of_an_allowed_origin_is_granted(client: httpx2.AsyncClient) -> None:
    response = await client.options("/api/v1/projects", headers=preflight(ALLOWED_ORIGIN))

    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == ALLOWED_ORIGIN
    assert "PATCH" in response.headers["access-control-allow-methods"]


async def test_a_refused_preflight_has_the_one_error_shape(client: httpx2.AsyncClient) -> None:
    foreign = await client.options("/api/v1/projects", headers=preflight(FOREIGN_ORIGIN))
    odd_method = await client.options(
        "/api/v1/projects", headers=preflight(ALLOWED_ORIGIN, "TRACE")
    )

    assert_error(foreign, 400, "cors_refused")
    assert "access-control-allow-origin" not in foreign.headers
    assert_error(odd_method, 400, "cors_refused")

import httpx2
import pytest

from tests.api.conftest import ALLOWED_ORIGIN, World

pytestmark = pytest.mark.anyio

PREFLIGHT = {"origin": ALLOWED_ORIGIN, "access-control-request-method": "GET"}
EVERY_WAY_TO_BE_ANSWERED = pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/health/live", {}),
        ("GET", "/health/ready", {}),
        ("POST", "/health/live", {}),
        ("OPTIONS", "/api/v1/projects", PREFLIGHT),
        ("GET", "/api/v1/projects", {}),
        ("GET", "/nowhere", {}),
    ],
)


@EVERY_WAY_TO_BE_ANSWERED
async def test_a_server_that_drains_says_that_it_closes(
    world: World, client: httpx2.AsyncClient, method: str, path: str, headers: dict[str, str]
) -> None:
    before = await client.request(method, path, headers=headers)
    world.lifecycle.drain()
    during = await client.request(method, path, headers=headers)

    assert "connection" not in before.headers
    assert during.headers["connection"] == "close"

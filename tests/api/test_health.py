import httpx2
import pytest

from platform_api.app import create_admin_app
from platform_api.server.lifecycle import Phase
from platform_domain.health import Status
from tests.api.conftest import World, lifecycle_in
from tests.api.shapes import assert_error

pytestmark = pytest.mark.anyio


async def test_a_ready_server_says_so(client: httpx2.AsyncClient) -> None:
    for page in ("live", "ready", "startup"):
        response = await client.get(f"/health/{page}")
        assert (response.status_code, response.json()) == (200, {"status": "ok"})


async def test_a_database_that_is_down_stops_readiness_and_nothing_else(
    world: World, client: httpx2.AsyncClient
) -> None:
    world.database.status = Status.DOWN

    details = assert_error(await client.get("/health/ready"), 503, "not_ready")

    assert details == {"phase": "ready", "down": ["database"]}
    assert (await client.get("/health/live")).status_code == 200
    assert (await client.get("/health/startup")).status_code == 200


async def test_a_degraded_part_leaves_the_server_ready(
    world: World, client: httpx2.AsyncClient
) -> None:
    world.database.status = Status.DEGRADED

    assert (await client.get("/health/ready")).status_code == 200


@pytest.mark.parametrize(
    ("phase", "ready", "started"),
    [(Phase.STARTING, 503, 503), (Phase.READY, 200, 200), (Phase.DRAINING, 503, 200)],
)
async def test_readiness_follows_the_phase(
    world: World, phase: Phase, ready: int, started: int
) -> None:
    world.lifecycle = lifecycle_in(phase)
    async with world.client() as client:
        assert (await client.get("/health/ready")).status_code == ready
        assert (await client.get("/health/startup")).status_code == started
        assert (await client.get("/health/live")).status_code == 200


async def test_a_probe_takes_get_and_head_only(client: httpx2.AsyncClient) -> None:
    assert (await client.head("/health/live")).status_code == 200
    response = await client.post("/health/live")
    assert_error(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "GET, HEAD"


async def test_details_are_on_the_admin_port_only(world: World, client: httpx2.AsyncClient) -> None:
    world.database.status = Status.DOWN
    admin = httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=create_admin_app(world.readings)),
        base_url="http://admin",
    )

    async with admin:
        report = (await admin.get("/health")).json()
        assert_error(await admin.get("/nowhere"), 404, "route_not_found")

    assert report["phase"] == "ready"
    assert report["status"] == "down"
    assert [d["name"] for d in report["dependencies"]] == ["database"]
    assert report["dependencies"][0]["status"] == "down"
    assert_error(await client.get("/health"), 404, "route_not_found")

from collections.abc import Sequence

import httpx2
import pytest

from platform_api.app import create_admin_app
from platform_api.middleware.security_headers import HEADERS
from platform_api.server.lifecycle import Phase
from platform_config import HttpSettings, ServerSettings, Settings
from platform_domain.health import Status
from tests.api.conftest import World, lifecycle_in
from tests.api.shapes import assert_error
from tests.fakes import SettableHealth

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


def admin(
    world: World,
    host: str = "localhost:9000",
    *,
    admin_host: str = "127.0.0.1",
    allowed_hosts: Sequence[str] = ("*",),
) -> httpx2.AsyncClient:
    settings = Settings(
        server=ServerSettings(admin_host=admin_host),
        http=HttpSettings(allowed_hosts=tuple(allowed_hosts)),
    )
    return httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=create_admin_app(settings, world.readings)),
        base_url="http://admin",
        headers={"host": host},
    )


async def test_details_are_on_the_admin_port_only(world: World, client: httpx2.AsyncClient) -> None:
    async with admin(world) as http:
        report = (await http.get("/health")).json()
        assert_error(await http.get("/nowhere"), 404, "route_not_found")

    assert report["phase"] == "ready"
    assert report["status"] == "up"
    assert [d["name"] for d in report["dependencies"]] == ["database"]
    assert report["dependencies"][0]["status"] == "up"
    assert_error(await client.get("/health"), 404, "route_not_found")


@pytest.mark.parametrize("first", Status)
@pytest.mark.parametrize("second", Status)
async def test_the_server_is_as_ill_as_its_worst_dependency(
    world: World, first: Status, second: Status
) -> None:
    world.database.status = first
    world.others = [SettableHealth("events", second)]
    worst = max(first, second, key=[Status.UP, Status.DEGRADED, Status.DOWN].index)

    async with admin(world) as http:
        response = await http.get("/health")

    report = response.json()
    if worst is Status.DOWN:
        assert response.headers["retry-after"]
        report = assert_error(response, 503, "unhealthy")
    else:
        assert response.status_code == 200
    assert report["status"] == worst
    assert [d["status"] for d in report["dependencies"]] == [first, second]


async def test_a_stop_is_no_failure_of_health(world: World) -> None:
    world.lifecycle = lifecycle_in(Phase.DRAINING)

    async with admin(world) as http:
        response = await http.get("/health")

    assert (response.status_code, response.json()["phase"]) == (200, "draining")


@pytest.mark.parametrize(
    ("admin_host", "host", "answers"),
    [
        ("127.0.0.1", "localhost", True),
        ("127.0.0.1", "LOCALHOST:9000", True),
        ("127.0.0.1", "127.0.0.1:9000", True),
        ("127.0.0.1", "[::1]:9000", True),
        ("127.0.0.1", "rebound.example.com:9000", False),
        ("127.0.0.1", "localhost.example.com", False),
        ("127.0.0.1", "10.1.2.3:9000", False),
        ("127.0.0.1", "", False),
        ("10.1.2.3", "10.1.2.3:9000", True),
        ("10.1.2.3", "10.1.2.4:9000", False),
        ("Admin.internal", "admin.internal:9000", True),
        ("0.0.0.0", "10.1.2.3:9000", True),
        ("0.0.0.0", "[fd00::1]:9000", True),
        ("0.0.0.0", "rebound.example.com", False),
        ("::", "10.1.2.3:9000", True),
        ("::", "rebound.example.com", False),
        ("0.0.0.0", "api.example.com:9000", True),
        ("127.0.0.1", "api.example.com:9000", True),
    ],
)
@pytest.mark.parametrize("page", ["/health", "/health/live", "/nowhere"])
async def test_the_admin_port_answers_to_its_own_names_only(
    world: World, admin_host: str, host: str, answers: bool, page: str
) -> None:
    names = ["api.example.com"]
    async with admin(world, host, admin_host=admin_host, allowed_hosts=names) as http:
        response = await http.get(page)

    if answers:
        assert response.status_code == (404 if page == "/nowhere" else 200)
    else:
        assert_error(response, 400, "host_not_allowed")


async def test_the_admin_port_does_not_take_every_name_when_the_public_port_does(
    world: World,
) -> None:
    async with admin(world, "rebound.example.com", allowed_hosts=["*"]) as http:
        assert_error(await http.get("/health"), 400, "host_not_allowed")


@pytest.mark.parametrize("host", ["localhost", "rebound.example.com"])
async def test_the_admin_port_has_the_security_headers(world: World, host: str) -> None:
    async with admin(world, host) as http:
        for page in ("/health", "/nowhere"):
            assert HEADERS.items() <= dict((await http.get(page)).headers.raw).items()

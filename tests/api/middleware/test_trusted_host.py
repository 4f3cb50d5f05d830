import httpx2
import pytest

from platform_config import HttpSettings, Settings
from tests.api.conftest import World
from tests.api.shapes import assert_error

pytestmark = pytest.mark.anyio


async def asked(
    world: World, *hosts: str, host: str, path: str = "/api/v1/projects"
) -> httpx2.Response:
    world.settings = Settings(http=HttpSettings(allowed_hosts=hosts))
    async with world.client() as client:
        return await client.get(path, headers={"host": host})


@pytest.mark.parametrize(
    "host", ["api.example.com", "API.Example.com", "api.example.com:8443", "[::1]:80", "10.0.0.7"]
)
async def test_a_name_of_ours_is_answered_whatever_the_port(world: World, host: str) -> None:
    response = await asked(world, "api.example.com", "::1", "10.0.0.7", host=host)

    assert response.status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example.com",
        "api.example.com.evil.org",
        "",
        "[::2]",
        "[::1].evil.org",
        "::1",
        "10.0.0.7",
    ],
)
async def test_a_foreign_name_is_refused(world: World, host: str) -> None:
    response = await asked(world, "api.example.com", "::1", host=host)

    assert_error(response, 400, "host_not_allowed")


async def test_a_name_in_the_settings_may_be_in_upper_case(world: World) -> None:
    assert (await asked(world, "API.Example.com", host="api.example.com")).status_code == 200


@pytest.mark.parametrize(
    ("ours", "host"), [("0:0:0:0:0:0:0:1", "[::1]"), ("fd00::A", "[FD00:0:0::a]:8000")]
)
async def test_an_address_is_the_same_however_it_is_written(
    world: World, ours: str, host: str
) -> None:
    assert (await asked(world, ours, host=host)).status_code == 200


async def test_by_default_every_name_is_answered(world: World) -> None:
    assert (await asked(world, "*", host="anything.example")).status_code == 200


async def test_a_probe_comes_with_the_pods_address(world: World) -> None:
    response = await asked(world, "api.example.com", host="10.1.2.3", path="/health/live")

    assert response.status_code == 200

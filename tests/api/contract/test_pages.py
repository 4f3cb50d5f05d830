"""Where the contract is published, and the page to read it with."""

import hashlib
import re
from importlib.resources import files
from pathlib import Path

import httpx2
import pytest

from platform_api.contract.pages import PATH
from platform_api.docs_page.pages import FILES
from platform_config import Environment
from tests.api.conftest import ALLOWED_ORIGIN, World
from tests.api.shapes import assert_error

pytestmark = pytest.mark.anyio

VENDORED = Path(str(files("platform_api.docs_page"))) / "swagger_ui"


@pytest.fixture
def stranger(client: httpx2.AsyncClient) -> httpx2.AsyncClient:
    """A client who does not say who they are."""
    del client.headers["x-user-id"]
    return client


@pytest.mark.parametrize("environment", list(Environment))
async def test_anybody_may_read_the_contract(world: World, environment: Environment) -> None:
    world.settings = world.settings.model_copy(update={"environment": environment})
    async with world.client() as client:
        del client.headers["x-user-id"]
        response = await client.get(PATH, headers={"origin": ALLOWED_ORIGIN})

    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.headers["access-control-allow-origin"] == ALLOWED_ORIGIN
    assert response.json()["openapi"] == "3.1.0"
    assert "ServerMessage" in response.json()["components"]["schemas"]


async def test_the_page_and_its_files_have_the_types_that_browsers_insist_on(
    stranger: httpx2.AsyncClient,
) -> None:
    types = {path: (await stranger.get(path)).headers["content-type"] for path in FILES}

    assert types == {
        "/docs": "text/html; charset=utf-8",
        "/docs/start.js": "text/javascript; charset=utf-8",
        "/docs/swagger-ui-bundle.js": "text/javascript; charset=utf-8",
        "/docs/swagger-ui.css": "text/css; charset=utf-8",
    }


async def test_there_is_no_page_in_production(world: World) -> None:
    world.settings = world.settings.model_copy(update={"environment": Environment.PRODUCTION})
    async with world.client() as client:
        for path in FILES:
            assert_error(await client.get(path), 404, "route_not_found")


@pytest.mark.parametrize("path", [PATH, "/docs"])
async def test_they_can_only_be_read(stranger: httpx2.AsyncClient, path: str) -> None:
    assert (await stranger.head(path)).status_code == 200
    response = await stranger.post(path)
    assert_error(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "GET, HEAD"


async def test_the_page_asks_for_nothing_but_what_is_served_here(
    stranger: httpx2.AsyncClient,
) -> None:
    page = await stranger.get("/docs")
    script = (await stranger.get("/docs/start.js")).text

    linked = set(re.findall(r'(?:src|href)="(?!data:)([^"]*)"', page.text))
    assert linked == FILES.keys() - {"/docs"}
    assert f'url: "{PATH}"' in script
    assert "validatorUrl: null" in script
    assert "http" not in page.text + script


async def test_a_strict_policy_lets_the_page_work(stranger: httpx2.AsyncClient) -> None:
    page = await stranger.get("/docs")

    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert not re.search(r"<script(?![^>]*\bsrc=)", page.text)
    assert not re.search(r"\son\w+=|<style|\sstyle=", page.text)


def test_vendored_files_are_those_that_were_published() -> None:
    lines = (VENDORED / "SHA256SUMS").read_text().splitlines()
    published = {name: digest for digest, name in (line.split() for line in lines)}

    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in VENDORED.iterdir()
        if path.name not in {"SHA256SUMS", ".gitattributes"}
    }
    assert found == published

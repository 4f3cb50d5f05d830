import asyncio
from datetime import timedelta
from typing import Annotated, Any

import httpx2
import pytest
from pydantic import Field

from platform_api.operation import Operation
from platform_api.schema import Input, Output, Parameters
from platform_domain.errors import Unavailable
from platform_domain.identity import Identity
from tests.api.conftest import World
from tests.api.shapes import assert_error
from tests.fakes import InMemoryIdempotencyKeys

pytestmark = pytest.mark.anyio

TAKES = "/api/v1/takes"
KEY = {"idempotency-key": "k-1"}


class NewTake(Input):
    note: str


class TakePath(Parameters):
    number: int


class CutQuery(Parameters):
    force: bool = False
    digit: Annotated[str, Field(alias="2")] = ""


class Take(Output):
    number: int


class Camera:
    """Counts its takes, so that a test sees how often the work was done."""

    def __init__(self) -> None:
        self.takes = 0
        self.failure: Exception | None = None
        self.rolling = asyncio.Event()
        self.may_end = asyncio.Event()
        self.may_end.set()

    async def film(self, *, body: NewTake, caller: Identity) -> Take:
        self.rolling.set()
        await self.may_end.wait()
        if self.failure is not None:
            raise self.failure
        self.takes += 1
        return Take(number=self.takes)

    async def refilm(self, *, body: NewTake) -> Take:
        self.takes += 1
        return Take(number=self.takes)

    async def show(self, *, path: TakePath) -> Take:
        return Take(number=path.number)

    async def cut(self, *, path: TakePath, query: CutQuery) -> None:
        self.takes += 1


@pytest.fixture
def camera(world: World) -> Camera:
    camera = Camera()
    world.trial.given = [
        Operation(
            "POST", "/takes", camera.film, status=201, location="/takes/{number}", idempotent=True
        ),
        Operation("GET", "/takes/{number}", camera.show),
        Operation("PUT", "/takes", camera.refilm),
        Operation("DELETE", "/takes/{number}", camera.cut, status=204, idempotent=True),
    ]
    return camera


async def film(client: httpx2.AsyncClient, note: str = "a", **headers: str) -> httpx2.Response:
    return await client.post(TAKES, json={"note": note}, headers={**KEY, **headers})


async def test_a_repeated_request_is_done_once_and_answered_alike(
    camera: Camera, client: httpx2.AsyncClient
) -> None:
    first = await film(client)
    again = await film(client)

    assert camera.takes == 1
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.content == again.content == b'{"number":1}'
    assert first.headers["content-type"] == again.headers["content-type"]
    assert first.headers["location"] == again.headers["location"] == f"{TAKES}/1"
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"


async def test_an_answer_without_a_body_is_repeated_as_well(
    camera: Camera, client: httpx2.AsyncClient
) -> None:
    first = await client.delete(f"{TAKES}/1", headers=KEY)
    again = await client.delete(f"{TAKES}/1", headers=KEY)

    assert camera.takes == 1
    assert (first.status_code, again.status_code) == (204, 204)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.content == b""
    assert "content-type" not in again.headers


async def test_without_a_key_every_request_counts(
    camera: Camera, client: httpx2.AsyncClient
) -> None:
    for _ in range(2):
        await client.post(TAKES, json={"note": "a"})

    assert camera.takes == 2


async def test_an_operation_that_does_not_declare_it_ignores_the_key(
    camera: Camera, client: httpx2.AsyncClient
) -> None:
    for _ in range(2):
        await client.put(TAKES, json={"note": "a"}, headers=KEY)

    assert camera.takes == 2


async def test_a_key_counts_for_one_caller(camera: Camera, client: httpx2.AsyncClient) -> None:
    await film(client)
    await film(client, **{"x-user-id": "bob"})

    assert camera.takes == 2


async def test_a_key_counts_for_one_operation(camera: Camera, client: httpx2.AsyncClient) -> None:
    await film(client)
    cut = await client.delete(f"{TAKES}/1", headers=KEY)

    assert cut.status_code == 204
    assert camera.takes == 2


async def test_a_key_is_not_good_for_another_body(
    camera: Camera, client: httpx2.AsyncClient
) -> None:
    await film(client)

    assert_error(await film(client, "b"), 422, "idempotency_key_reused")
    assert camera.takes == 1


@pytest.mark.parametrize("other", [f"{TAKES}/2", f"{TAKES}/1?force=yes"])
async def test_a_key_is_not_good_for_another_address_of_the_operation(
    camera: Camera, client: httpx2.AsyncClient, other: str
) -> None:
    await client.delete(f"{TAKES}/1", headers=KEY)

    refused = await client.delete(other, headers=KEY)

    assert_error(refused, 422, "idempotency_key_reused")
    assert camera.takes == 1


async def test_path_and_query_do_not_run_into_each_other(
    camera: Camera, client: httpx2.AsyncClient
) -> None:
    await client.delete(f"{TAKES}/1?2", headers=KEY)

    assert_error(await client.delete(f"{TAKES}/12", headers=KEY), 422, "idempotency_key_reused")
    assert camera.takes == 1


async def test_while_the_first_is_worked_on_a_second_is_refused_at_once(
    camera: Camera, client: httpx2.AsyncClient
) -> None:
    camera.may_end.clear()
    first = asyncio.create_task(film(client))
    await camera.rolling.wait()

    assert_error(await film(client), 409, "idempotency_key_in_use")

    camera.may_end.set()
    assert (await first).status_code == 201
    assert (await film(client)).headers["idempotency-replayed"] == "true"
    assert camera.takes == 1


@pytest.mark.parametrize(("failure", "status"), [(Unavailable(), 503), (RuntimeError(), 500)])
async def test_a_failed_request_can_be_repeated(
    camera: Camera, client: httpx2.AsyncClient, failure: Exception, status: int
) -> None:
    camera.failure = failure
    assert (await film(client)).status_code == status

    camera.failure = None
    repeated = await film(client)

    assert repeated.status_code == 201
    assert "idempotency-replayed" not in repeated.headers
    assert camera.takes == 1


async def test_a_request_that_is_not_valid_does_not_use_up_its_key(
    camera: Camera, client: httpx2.AsyncClient
) -> None:
    refused = await client.post(TAKES, json={"note": 1}, headers=KEY)

    assert_error(refused, 422, "validation_failed")
    assert (await film(client)).status_code == 201


async def test_an_expired_key_is_as_good_as_new(world: World, camera: Camera) -> None:
    world.keys = InMemoryIdempotencyKeys(kept_for=timedelta(0))
    async with world.client() as client:
        await film(client)
        again = await film(client, "b")

    assert again.status_code == 201
    assert camera.takes == 2


@pytest.mark.parametrize("key", ["x", "!~", '"8e03978e-40d5-43dd-bc93-6894a57f9324"', "x" * 200])
async def test_any_visible_text_is_a_key(
    camera: Camera, client: httpx2.AsyncClient, key: str
) -> None:
    assert (await film(client, **{"idempotency-key": key})).status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 201, "a b", "a\tb", "a\x7f", "ä"])
async def test_a_key_that_is_none_is_refused_without_repeating_it(
    camera: Camera, client: httpx2.AsyncClient, key: str
) -> None:
    response = await client.post(
        TAKES, json={"note": "a"}, headers=[(b"idempotency-key", key.encode("latin-1"))]
    )

    details = assert_error(response, 422, "validation_failed")
    assert [fault["path"] for fault in details["errors"]] == ["/header/idempotency-key"]
    assert not key or key not in response.text
    assert camera.takes == 0


async def test_two_keys_are_none(camera: Camera, client: httpx2.AsyncClient) -> None:
    two: Any = [("idempotency-key", "a"), ("idempotency-key", "b")]

    response = await client.post(TAKES, json={"note": "a"}, headers=two)

    assert_error(response, 422, "validation_failed")


async def test_faults_of_key_and_body_are_told_together(
    camera: Camera, client: httpx2.AsyncClient
) -> None:
    response = await client.post(TAKES, json={}, headers={"idempotency-key": "a b"})

    details = assert_error(response, 422, "validation_failed")
    assert {fault["path"] for fault in details["errors"]} == {
        "/header/idempotency-key",
        "/body/note",
    }

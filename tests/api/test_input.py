"""What operations take, and what they refuse, in every part of a request."""

import json
from decimal import Decimal
from typing import Any

import httpx2
import pytest
from pydantic import ValidationError

from platform_api.operation import Operation
from platform_api.realtime.messages import ClientMessage
from platform_api.schema import Input, Output, Parameters
from tests.api.conftest import World
from tests.api.shapes import assert_error

pytestmark = pytest.mark.anyio

MEASURES = "/api/v1/measures"
NO_NUMBERS = ["1_0", "+10", " 10", "10 ", "010", "\uff11\uff10", "0x10", "ten", ""]


class Measures(Input):
    weight: float
    parts: list[float] = []
    named: dict[str, float] = {}


class Measured(Output):
    weight: float


class Place(Parameters):
    number: int


class Filter(Parameters):
    limit: int = 1
    ratio: float | None = None
    price: Decimal = Decimal(0)
    sizes: list[int] = []
    text: str = ""


class Filtered(Output):
    limit: int
    ratio: float | None
    price: Decimal
    sizes: list[int]
    text: str


async def weigh(*, body: Measures) -> Measured:
    return Measured(weight=body.weight)


async def show(*, path: Place) -> Measured:
    return Measured(weight=path.number)


async def filtered(*, query: Filter) -> Filtered:
    return Filtered.model_validate(query.model_dump())


async def immeasurable() -> Measured:
    return Measured(weight=float("nan"))


@pytest.fixture
def world() -> World:
    world = World()
    world.trial.given = [
        Operation("POST", "/measures", weigh),
        Operation("GET", "/measures", filtered),
        Operation("GET", "/measures/{number}", show),
        Operation("GET", "/immeasurable", immeasurable),
    ]
    return world


def faults(response: httpx2.Response) -> list[tuple[str, str]]:
    details = assert_error(response, 422, "validation_failed")
    return [(fault["path"], fault["code"]) for fault in details["errors"]]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
@pytest.mark.parametrize(
    ("body", "path"),
    [
        ('{"weight": %s}', "/body/weight"),
        ('{"weight": 1, "parts": [2, %s]}', "/body/parts/1"),
        ('{"weight": 1, "named": {"a": %s}}', "/body/named/a"),
    ],
)
async def test_a_float_of_a_body_is_finite(
    client: httpx2.AsyncClient, number: str, body: str, path: str
) -> None:
    response = await client.post(
        MEASURES, content=body % number, headers={"content-type": "application/json"}
    )

    assert faults(response) == [(path, "finite_number")]


def test_a_float_of_a_message_is_finite() -> None:
    class Move(ClientMessage):
        x: float

    for number in ("NaN", "1e999"):
        with pytest.raises(ValidationError, match="finite"):
            Move.model_validate_json(f'{{"x": {number}}}')


async def test_an_answer_that_json_cannot_write_is_our_fault(client: httpx2.AsyncClient) -> None:
    assert_error(await client.get("/api/v1/immeasurable"), 500, "internal_error")


@pytest.mark.parametrize("text", NO_NUMBERS)
async def test_a_number_in_a_query_or_path_is_written_as_in_json(
    client: httpx2.AsyncClient, text: str
) -> None:
    for name in ("limit", "ratio"):
        response = await client.get(MEASURES, params={name: text})
        assert [path for path, _ in faults(response)] == [f"/query/{name}"]

    response = await client.get(MEASURES, params={"sizes": ["1", text]})
    assert len(faults(response)) == 1
    if text:
        response = await client.get(f"{MEASURES}/{text}")
        assert faults(response) == [("/path/number", "int_parsing")]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("limit", "1e1"),
        ("limit", "10.0"),
        ("limit", "9" * 5000),
        ("ratio", "nan"),
        ("ratio", "inf"),
        ("ratio", "1e999"),
        ("ratio", "1_0.5"),
        ("ratio", ".5"),
        ("price", "NaN"),
        ("price", "1_0"),
    ],
)
async def test_a_number_of_another_kind_is_refused(
    client: httpx2.AsyncClient, name: str, text: str
) -> None:
    response = await client.get(MEASURES, params={name: text})

    assert [path for path, _ in faults(response)] == [f"/query/{name}"]


async def test_plain_numbers_and_any_text_are_taken(client: httpx2.AsyncClient) -> None:
    query = {"limit": "-10", "ratio": "1.5e-1", "price": "9.90", "sizes": ["0", "7"], "text": "1_0"}

    assert (await client.get(MEASURES, params=query)).json() == {
        "limit": -10,
        "ratio": 0.15,
        "price": "9.90",
        "sizes": [0, 7],
        "text": "1_0",
    }


async def test_an_unknown_parameter_is_refused_like_an_unknown_field(
    client: httpx2.AsyncClient,
) -> None:
    for path in (f"{MEASURES}?colour=red", f"{MEASURES}/7?colour=", "/api/v1/projects?colour=red"):
        assert faults(await client.get(path)) == [("/query/colour", "extra_forbidden")]

    response = await client.post(f"{MEASURES}?colour=red", json={"weight": 1, "size": 2})
    assert faults(response) == [
        ("/query/colour", "extra_forbidden"),
        ("/body/size", "extra_forbidden"),
    ]


async def test_of_thousands_of_unknown_parameters_the_first_are_reported(
    client: httpx2.AsyncClient,
) -> None:
    query = "&".join(f"{number:x}" for number in range(3000)).replace("&", "=&") + "="

    reported = faults(await client.get(f"{MEASURES}?{query}"))

    assert reported == [(f"/query/{number:x}", "extra_forbidden") for number in range(50)]


async def test_a_parameter_of_one_value_is_given_once(client: httpx2.AsyncClient) -> None:
    for path in (f"{MEASURES}?limit=1&limit=2", f"{MEASURES}?limit=1&limit=1&sizes=1&sizes=2"):
        assert faults(await client.get(path)) == [("/query/limit", "repeated")]


async def test_what_the_authenticator_reads_is_no_unknown_parameter(world: World) -> None:
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=world.app()), base_url="http://test"
    ) as client:
        assert (await client.get(f"{MEASURES}?user=alice&limit=7")).json()["limit"] == 7
        assert (await client.get(f"{MEASURES}/7?user=alice")).status_code == 200
        other = await client.get(f"{MEASURES}/7?user=alice&User=alice")
        assert faults(other) == [("/query/User", "extra_forbidden")]


INVISIBLE: list[Any] = [
    "\u200b",
    " \u200b\u200d\ufeff ",
    "\u2060\u00ad",
    "\u3164",
    "\u2800",
    "\ufe0f",
    "\u200e\u200f",
    "\U000e0041",
]
DISGUISED = [f"a{char}b" for char in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"]
BROKEN = [f"a{char}b" for char in "\0\x1f\n\x7f\x85\u2028\u2029"]


@pytest.mark.parametrize("name", INVISIBLE + DISGUISED + BROKEN, ids=ascii)
async def test_a_name_that_cannot_be_read_as_it_is_is_refused(
    client: httpx2.AsyncClient, name: str
) -> None:
    response = await client.post(
        "/api/v1/projects",
        content=json.dumps({"name": name}),
        headers={"content-type": "application/json"},
    )

    assert faults(response) == [("/body/name", "name_unreadable")]
    assert "visible" in response.text if name in INVISIBLE else "directional" in response.text


@pytest.mark.parametrize(
    "name",
    [
        "\u05e9\u05dc\u05d5\u05dd\u200f!",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        "\U0001f469\u200d\U0001f680",
        "\u2764\ufe0f",
        "e\u0301",
        ".",
    ],
    ids=ascii,
)
async def test_names_of_all_scripts_are_kept_as_they_were_given(
    client: httpx2.AsyncClient, name: str
) -> None:
    created = await client.post("/api/v1/projects", json={"name": f" {name} "})

    assert created.status_code == 201
    assert created.json()["name"] == name

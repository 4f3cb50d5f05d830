from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from http import HTTPStatus
from typing import Annotated, Any, Literal

import jsonschema_rs
import pytest
from pydantic import Discriminator, Field

from platform_api.contract.openapi import as_text, openapi
from platform_api.declaration import DeclarationInvalid
from platform_api.feature import Feature
from platform_api.operation import Operation
from platform_api.paging import Page, PageQuery
from platform_api.schema import Input, Output, Parameters
from platform_domain.errors import Conflict, NotFound
from tests.api.contract.documented import (
    codes_of,
    operations_in,
    references_in,
    resolved,
    validator,
)


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Gone(NotFound):
    code = "shot_not_found"
    message = "There is no such shot."


class Taken(Conflict):
    code = "shot_taken"
    message = "There is such a shot."


class ShotPath(Parameters):
    id: Annotated[int, Field(ge=1, description="Its number.")]


class ShotQuery(Parameters):
    colour: Colour
    tags: Annotated[list[str], Field(max_length=3)] = []
    after: Annotated[int | None, Field(ge=0, deprecated=True)] = None
    either: int | Colour | None = None


class Lens(Input):
    millimetres: Annotated[int, Field(ge=1)] = 35


class NewShot(Input):
    lens: Lens
    note: str | None = None


class Shot(Output):
    """One take of a camera."""

    id: int
    colour: Colour = Colour.RED
    note: str | None = None


async def film(*, path: ShotPath, query: ShotQuery, body: NewShot) -> Shot:
    """Film a shot
    again.

    The one before is kept.

    It costs something.
    """
    return Shot(id=1)


async def reel(*, query: PageQuery) -> Page[Shot]:
    return Page(items=[], next_cursor=None)


async def cut(*, path: ShotPath) -> None: ...


async def ping() -> Shot:
    return Shot(id=1)


OPERATIONS = [
    Operation("PUT", "/camera-shots/{id:int}", film, errors=(Gone, Taken)),
    Operation("GET", "/camera-shots", reel),
    Operation("DELETE", "/camera-shots/{id:int}", cut, status=204, errors=(Gone,)),
    Operation(
        "POST",
        "/camera-shots",
        ping,
        status=HTTPStatus.CREATED,
        location="/camera-shots/{id:int}",
        idempotent=True,
    ),
]


class CameraShotsFeature(Feature):
    """What a camera takes."""

    def __init__(self, *operations: Operation) -> None:
        self._operations = operations

    def operations(self) -> Sequence[Operation]:
        return self._operations


def document_of(*operations: Operation) -> dict[str, Any]:
    return openapi([CameraShotsFeature(*operations)])


@pytest.fixture
def document() -> dict[str, Any]:
    return document_of(*OPERATIONS)


def parameters_of(document: dict[str, Any], id: str) -> dict[str, Any]:
    return {p["name"]: p for p in operations_in(document)[id].get("parameters", [])}


def test_an_operation_is_named_by_its_feature_and_handler(document: dict[str, Any]) -> None:
    assert set(operations_in(document)) == {
        "camera_shots_film",
        "camera_shots_reel",
        "camera_shots_cut",
        "camera_shots_ping",
    }
    assert document["tags"] == [{"name": "camera-shots", "description": "What a camera takes."}]


def test_the_tag_is_the_features_name_whatever_the_path_is() -> None:
    document = document_of(Operation("GET", "/takes", ping))

    assert operations_in(document)["camera_shots_ping"]["tags"] == ["camera-shots"]


def test_the_document_says_where_the_server_is_and_under_which_licence(
    document: dict[str, Any],
) -> None:
    assert document["servers"][0]["url"] == "/"
    assert document["info"]["license"] == {"name": "MIT", "identifier": "MIT"}


def test_two_operations_of_one_name_fail_at_start_up() -> None:
    twice = [Operation("GET", "/shots", ping), Operation("GET", "/shots/latest", ping)]

    with pytest.raises(DeclarationInvalid, match="GET /shots and GET /shots/latest have one id"):
        document_of(*twice)


def test_paths_have_the_prefix_and_no_converters(document: dict[str, Any]) -> None:
    assert {path: set(methods) for path, methods in document["paths"].items()} == {
        "/api/v1/camera-shots": {"get", "post"},
        "/api/v1/camera-shots/{id}": {"put", "delete"},
    }


def test_the_docstring_is_what_people_read(document: dict[str, Any]) -> None:
    film, ping = (operations_in(document)[f"camera_shots_{name}"] for name in ("film", "ping"))

    assert film["summary"] == "Film a shot again"
    assert film["description"] == "The one before is kept.\n\nIt costs something."
    assert not {"summary", "description"} & ping.keys()


def test_parameters_say_what_their_models_say(document: dict[str, Any]) -> None:
    assert parameters_of(document, "camera_shots_film") == {
        "id": {
            "name": "id",
            "in": "path",
            "required": True,
            "description": "Its number.",
            "schema": {"type": "integer", "minimum": 1},
        },
        "colour": {
            "name": "colour",
            "in": "query",
            "required": True,
            "schema": {"$ref": "#/components/schemas/Colour"},
        },
        "tags": {
            "name": "tags",
            "in": "query",
            "required": False,
            "schema": {
                "type": "array",
                "items": {"type": "string"},
                "maxItems": 3,
                "default": [],
            },
        },
        "after": {
            "name": "after",
            "in": "query",
            "required": False,
            "deprecated": True,
            "schema": {"type": "integer", "minimum": 0},
        },
        "either": {
            "name": "either",
            "in": "query",
            "required": False,
            "schema": {"anyOf": [{"type": "integer"}, {"$ref": "#/components/schemas/Colour"}]},
        },
    }
    assert parameters_of(document, "camera_shots_reel")["limit"]["schema"] == {
        "type": "integer",
        "minimum": 1,
        "maximum": 100,
        "default": 20,
    }


def test_an_idempotent_operation_takes_a_key(document: dict[str, Any]) -> None:
    (key,) = operations_in(document)["camera_shots_ping"]["parameters"]
    answer = operations_in(document)["camera_shots_ping"]["responses"]["201"]

    assert (key["name"], key["in"], key["required"]) == ("Idempotency-Key", "header", False)
    assert (key["schema"]["minLength"], key["schema"]["maxLength"]) == (1, 200)
    assert "Idempotency-Replayed" in answer["headers"]
    assert "Location" in answer["headers"]
    assert "Idempotency-Key" not in parameters_of(document, "camera_shots_film")


def test_bodies_and_answers_refer_to_their_models(document: dict[str, Any]) -> None:
    film, cut = (operations_in(document)[f"camera_shots_{name}"] for name in ("film", "cut"))

    assert film["requestBody"] == {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/NewShot"},
                "example": {"lens": {"millimetres": 1}, "note": "text"},
            }
        },
    }
    assert film["responses"]["200"]["content"] == {
        "application/json": {
            "schema": {"$ref": "#/components/schemas/Shot"},
            "example": {"id": 1, "colour": "red", "note": "text"},
        }
    }
    assert "201" in operations_in(document)["camera_shots_ping"]["responses"]
    assert "requestBody" not in cut
    assert "content" not in cut["responses"]["204"]


def test_what_is_always_written_is_required_and_what_may_be_left_out_is_not(
    document: dict[str, Any],
) -> None:
    schemas = document["components"]["schemas"]

    assert schemas["Shot"]["required"] == ["id", "colour"]
    assert schemas["NewShot"]["required"] == ["lens"]
    assert "required" not in schemas["Lens"]
    assert schemas["Lens"]["properties"]["millimetres"]["default"] == 35
    assert "default" not in schemas["NewShot"]["properties"]["note"], "no client sends that null"


def codes(document: dict[str, Any], id: str) -> dict[str, set[str]]:
    """Return the codes of each status of failure."""
    found = {
        status: codes_of(response)
        for status, response in operations_in(document)[id]["responses"].items()
    }
    return {status: of_status for status, of_status in found.items() if of_status}


def test_each_failure_names_its_codes(document: dict[str, Any]) -> None:
    anywhere = {
        "400": {"header_repeated", "host_not_allowed"},
        "401": {"unauthenticated"},
        "403": {"forbidden"},
        "500": {"internal_error"},
        "503": {"unavailable", "shutting_down", "overloaded"},
        "504": {"deadline_exceeded"},
    }
    written = anywhere | {"503": {*anywhere["503"], "contended", "outcome_unknown"}}
    clash = {"conflict", "still_in_use"}
    checked = {"validation_failed", "invalid_input"}

    assert codes(document, "camera_shots_reel") == anywhere | {"422": checked}
    assert codes(document, "camera_shots_ping") == written | {
        "409": {*clash, "idempotency_key_in_use"},
        "422": {"reference_invalid", *checked, "idempotency_key_reused"},
    }
    assert codes(document, "camera_shots_cut") == written | {
        "404": {"shot_not_found", "route_not_found"},
        "409": clash,
        "422": {"reference_invalid", *checked},
    }
    assert codes(document, "camera_shots_film") == written | {
        "404": {"shot_not_found", "route_not_found"},
        "408": {"body_timeout"},
        "409": {"shot_taken", *clash},
        "413": {"payload_too_large"},
        "415": {"unsupported_media_type"},
        "422": {"reference_invalid", *checked},
        "429": {"too_many_bodies"},
    }


def failure(document: dict[str, Any], id: str, status: str) -> Any:
    media = operations_in(document)[id]["responses"][status]["content"]["application/json"]
    return validator(document, media["schema"])


def test_an_error_has_the_one_shape_narrowed_to_its_codes(document: dict[str, Any]) -> None:
    conflict = failure(document, "camera_shots_film", "409")

    assert conflict.is_valid({"error": "Taken.", "code": "shot_taken"})
    assert conflict.is_valid({"error": "Taken.", "code": "shot_taken", "details": {"by": 1}})
    assert not conflict.is_valid({"error": "Taken.", "code": "another"})
    assert not conflict.is_valid({"code": "shot_taken"})
    assert not conflict.is_valid({"error": "Taken.", "code": "shot_taken", "details": None})


def test_details_have_the_shape_that_belongs_to_the_code(document: dict[str, Any]) -> None:
    invalid = failure(document, "camera_shots_film", "422")
    item = {"path": "/body/lens", "message": "Field required", "code": "missing"}

    assert invalid.is_valid(
        {"error": "No.", "code": "validation_failed", "details": {"errors": [item]}}
    )
    assert not invalid.is_valid({"error": "No.", "code": "validation_failed"})
    assert invalid.is_valid({"error": "No.", "code": "invalid_input"})


def test_every_answer_with_a_body_has_an_example_that_fits(document: dict[str, Any]) -> None:
    for operation in operations_in(document).values():
        for status, response in operation["responses"].items():
            media = response.get("content", {}).get("application/json", {})
            examples = media.get("examples", {}).values()
            values = [
                *(e["value"] for e in examples),
                *([media["example"]] if "example" in media else []),
            ]
            assert values or status in ("204", "default"), operation["operationId"]
            for value in values:
                validator(document, media["schema"]).validate(value)


def test_any_other_failure_has_the_one_shape(document: dict[str, Any]) -> None:
    other = failure(document, "camera_shots_cut", "default")

    assert other.is_valid({"error": "A teapot.", "code": "teapot"})
    assert not other.is_valid({"error": "A teapot."})


def test_every_reference_leads_somewhere_and_every_schema_is_used(
    document: dict[str, Any],
) -> None:
    targets = set(references_in(document))

    for target in targets:
        resolved(document, {"$ref": target})
    for part in ("schemas", "headers"):
        listed = {f"#/components/{part}/{name}" for name in document["components"][part]}
        assert listed <= targets, f"unused: {listed - targets}"


def test_every_schema_is_a_json_schema(document: dict[str, Any]) -> None:
    for schema in document["components"]["schemas"].values():
        jsonschema_rs.meta.validate(
            {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema
        )


def test_names_are_plain_words(document: dict[str, Any]) -> None:
    names = set(document["components"]["schemas"])

    assert "PageOfShot" in names
    assert all(name.isidentifier() and len(name) < 40 for name in names)
    assert {"ShotPath", "ShotQuery", "PageQuery", "ErrorBody"}.isdisjoint(names)


def answering(model: Any) -> Callable[[], Awaitable[Any]]:
    async def handler() -> Any: ...

    handler.__annotations__["return"] = model
    return handler


def test_two_models_of_one_name_fail_at_start_up() -> None:
    class Other:
        class Shot(Output):
            length: int

    both = [Operation("GET", "/shots", ping), Operation("GET", "/takes", answering(Other.Shot))]

    with pytest.raises(DeclarationInvalid, match=r"names of their own.*Shot"):
        document_of(*both)


def test_a_model_with_the_name_of_the_error_fails_at_start_up() -> None:
    class Error(Output):
        fruit: str

    with pytest.raises(DeclarationInvalid, match="These names are taken: Error"):
        document_of(Operation("GET", "/trees", answering(Error)))


def test_the_text_is_sorted_and_the_same_each_time(document: dict[str, Any]) -> None:
    text = as_text(document)

    assert text == as_text(document_of(*OPERATIONS))
    assert text.endswith("}\n")
    assert text.index('"components"') < text.index('"info"') < text.index('"openapi"')


class Hello(Input):
    type: Literal["hello"]
    volume: int = 1


class Bye(Input):
    type: Literal["bye"]


class Heard(Output):
    type: Literal["heard"] = "heard"
    shot: Shot


class Lost(Output):
    type: Literal["lost"] = "lost"
    id: str | None = None


CLIENT = Annotated[Hello | Bye, Discriminator("type")]
SERVER = Annotated[Heard | Lost, Discriminator("type")]


def test_messages_stand_among_the_schemas_told_apart_by_type() -> None:
    document = openapi([], CLIENT, SERVER)

    schemas = document["components"]["schemas"]
    assert schemas["ClientMessage"] == {
        "oneOf": [{"$ref": "#/components/schemas/Hello"}, {"$ref": "#/components/schemas/Bye"}],
        "discriminator": {
            "propertyName": "type",
            "mapping": {
                "hello": "#/components/schemas/Hello",
                "bye": "#/components/schemas/Bye",
            },
        },
    }
    assert schemas["ServerMessage"]["discriminator"]["mapping"].keys() == {"heard", "lost"}
    assert {"Hello", "Bye", "Heard", "Lost", "Shot", "Colour"} <= schemas.keys()


def test_the_type_of_a_message_is_required_both_ways() -> None:
    schemas = openapi([], CLIENT, SERVER)["components"]["schemas"]

    assert schemas["Hello"]["required"] == ["type"]
    assert schemas["Heard"]["required"] == ["type", "shot"]
    assert schemas["Lost"]["required"] == ["type"]


def test_without_messages_there_are_none(document: dict[str, Any]) -> None:
    assert {"ClientMessage", "ServerMessage"}.isdisjoint(document["components"]["schemas"])

from collections.abc import Callable
from time import process_time
from typing import Annotated, Any, Literal, Optional
from uuid import UUID

import pytest
from pydantic import BaseModel, Discriminator, ValidationError, model_validator

from platform_api.declaration import DeclarationInvalid
from platform_api.errors import ValidationFailed
from platform_api.json_reader import JsonReader
from platform_api.schema import Input, faults

LONG = '"' + "," * 1000 + '"'  # A value that makes any JSON long.
MIB = 1024 * 1024


class Inner(Input):
    type: int = 0
    default: list[int] = []


class Left(Input):
    left: int


class Right(Input):
    right: int


class Circle(Input):
    kind: Literal["circle"]


class Square(Input):
    kind: Literal["square"]
    sides: tuple[int, ...] = ()


class Free(BaseModel):
    number: int = 0


class Checked(Input):
    text: str

    @model_validator(mode="before")
    @classmethod
    def _trimmed(cls, value: Any) -> Any:
        return value


class Everything(Input):
    filler: str = ""
    id: UUID | None = None
    inner: Inner | None = None
    inners: list[Inner] = []
    either: list[Left | Right] = []
    mixed: list[int | str | bool | list[int]] = []
    shapes: list[Annotated[Circle | Square, Discriminator("kind")]] = []
    sizes: dict[str, int] = {}
    free: Free | None = None
    checked: Checked | None = None


READER = JsonReader[Everything](Everything, "body")
GOOD = """
    "id": "00000000-0000-4000-8000-000000000000", "inner": {"type": 1, "default": [2]},
    "either": [{"left": 1}, {"right": 2}], "mixed": [1, "a", [2]], "sizes": {"any": 1},
    "shapes": [{"kind": "circle"}, {"kind": "square", "sides": [1, 2]}],
    "free": {"number": 1, "other": 2}, "checked": {"text": "a"}
"""


def faults_of(json: str) -> list[tuple[str, str]]:
    with pytest.raises(ValidationError) as raised:
        READER.read(json)
    return sorted((each["path"], each["code"]) for each in faults(raised.value, "body"))


@pytest.mark.parametrize("json", [f"{{{GOOD}}}", f'{{"filler": {LONG}, {GOOD}}}'])
def test_short_and_long_json_become_the_same_models(json: str) -> None:
    read = READER.read(json)

    assert read == Everything.model_validate_json(json)
    assert read.inner == Inner(type=1, default=[2])
    assert read.model_dump() == READER.read(json.encode()).model_dump()


def test_all_faults_of_short_json_are_found() -> None:
    assert faults_of(
        '{"inner": {"default": ["a", "b"], "c": 1}, "sizes": {"a": "b", "c": "d"}}'
    ) == [
        ("/body/inner/c", "extra_forbidden"),
        ("/body/inner/default/0", "int_type"),
        ("/body/inner/default/1", "int_type"),
        ("/body/sizes/a", "int_type"),
        ("/body/sizes/c", "int_type"),
    ]


def test_the_first_fault_of_each_list_and_dictionary_of_long_json_is_found() -> None:
    wrong = '"inner": {"default": ["a", "b"], "c": 1}, "sizes": {"a": "b", "c": "d"}'

    assert faults_of(f'{{"filler": {LONG}, {wrong}}}') == [
        ("/body/inner/c", "extra_forbidden"),
        ("/body/inner/default/0", "int_type"),
        ("/body/sizes/a", "int_type"),
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        '"unknown": 1',
        '"inner": {"unknown": 1}',
        '"inners": [{}, {"unknown": 1}]',
        '"either": [{"left": 1, "unknown": 1}]',
        '"shapes": [{"kind": "circle", "unknown": 1}]',
        '"checked": {"text": "a", "unknown": 1}',
    ],
)
def test_an_unknown_field_is_refused_wherever_it_is(wrong: str) -> None:
    for json in (f"{{{wrong}}}", f'{{"filler": {LONG}, {wrong}}}'):
        assert ("extra_forbidden", "unknown") in {
            (code, path.rpartition("/")[2]) for path, code in faults_of(json)
        }


def test_unknown_fields_of_other_members_of_a_union_are_no_faults() -> None:
    json = '{"either": [' + '{"right": 1},' * 5000 + '{"left": 1}]}'

    assert len(READER.read(json).either) == 5001


def test_too_many_unknown_fields_are_not_listed() -> None:
    unknown = ",".join(f'"k{number}": 0' for number in range(2000))
    for json in (f"{{{unknown}}}", f'{{"inner": {{{unknown}}}}}'):
        with pytest.raises(ValidationFailed) as raised:
            READER.read(json)

        assert raised.value.details == {
            "errors": [
                {
                    "path": "/body",
                    "message": "Too many unknown fields",
                    "code": "extra_forbidden",
                }
            ]
        }


def repeated(begin: str, each: str, end: str) -> Callable[[int], str]:
    def json(size: int) -> str:
        times = range(size // len(each))
        return begin + ",".join(each.replace("#", f"{number:x}") for number in times) + end

    return json


@pytest.mark.parametrize(
    "json",
    [
        repeated("{", '"####":0', "}"),
        repeated('{"inner":{', '"####":[[],[]]', "}}"),
        repeated('{"inners":[', "0", "]}"),
        repeated('{"inners":[', '{"unknown":0}', "]}"),
        repeated('{"mixed":[', "{}", "]}"),
        repeated('{"sizes":{', '"####":""', "}}"),
        repeated('{"shapes":[', '{"kind":"line"}', "]}"),
    ],
)
def test_a_mebibyte_of_faults_costs_no_more_than_to_read_it(json: Callable[[int], str]) -> None:
    text = json(MIB)
    took = []
    for _ in range(3):
        began = process_time()
        with pytest.raises((ValidationError, ValidationFailed)) as raised:
            READER.read(text)
        if isinstance(raised.value, ValidationError):
            faults(raised.value, "body")
        took.append(process_time() - began)

    assert min(took) < 0.2, "5 times what it takes; it was 0.15 to 5 s"


class Sum(Input):
    terms: "list[Sum | Product]"


class Product(Input):
    terms: "list[Sum | Product]"


class Tree(Input):
    left: Optional["Tree"] = None
    right: Optional["Tree"] = None


def test_a_union_that_takes_exponential_time_is_refused_at_start_up() -> None:
    with pytest.raises(DeclarationInvalid, match="discriminator"):
        JsonReader[Sum](Sum, "body")


def test_a_model_may_contain_itself() -> None:
    assert JsonReader[Tree](Tree, "body").read('{"left": {"right": {}}}').left is not None

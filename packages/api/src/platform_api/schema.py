"""Base classes of what goes over the wire, and what is said when it does not fit."""

from collections.abc import Sequence
from typing import Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from platform_config.from_text import FromText
from platform_domain.names import PATTERN, fault_of

MAX_FAULTS = 50
"""A body of nothing but faults must not make an answer larger than itself."""

# Pydantic's own messages would repeat a part of what was sent.
PLAIN = {
    "union_tag_invalid": "Input should have a `type` that there is",
    "url_parsing": "Input should be a valid URL",
    "uuid_parsing": "Input should be a valid UUID",
}


def _readable(name: str) -> str:
    if fault := fault_of(name):
        raise PydanticCustomError("name_unreadable", fault)
    return name


READABLE = (AfterValidator(_readable), Field(json_schema_extra={"pattern": PATTERN}))
"""For names that people read (`platform_domain.names`): `Annotated[str, …, *READABLE]`."""


class Input(BaseModel):
    """A JSON body. Types are strict (no `"1"` for 1) and unknown fields are refused.

    Floats must be finite: `NaN` and `Infinity`, which are not JSON, and 1e999 are refused.
    """

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        allow_inf_nan=False,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )


class Parameters(FromText):
    """Path or query parameters. Text is converted; unknown parameters are refused."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class Output(BaseModel):
    """A JSON answer. Floats that JSON cannot represent are refused."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


def faults(error: ValidationError, place: str, *, below: int = 0) -> list[dict[str, Any]]:
    """Return the first faults as `{path, message, code}`; `path` is a JSON pointer (RFC 6901).

    It begins `below` so many steps of pydantic's path, which names members of a union too.
    """
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return [
        {
            "path": _pointer([place, *fault["loc"][below:]]),
            "message": PLAIN.get(fault["type"], fault["msg"]),
            "code": fault["type"],
        }
        for fault in found[:MAX_FAULTS]
    ]


def _pointer(location: Sequence[str | int]) -> str:
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in location)

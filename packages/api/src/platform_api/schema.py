"""Base classes of what goes over the wire, and what is said when it does not fit."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

MAX_FAULTS = 50
"""A body of nothing but faults must not make an answer larger than itself."""

# Pydantic's own messages would repeat a part of what was sent.
PLAIN = {
    "union_tag_invalid": "Input should have a `type` that there is",
    "url_parsing": "Input should be a valid URL",
    "uuid_parsing": "Input should be a valid UUID",
}


class Input(BaseModel):
    """A JSON body. Types are strict (no `"1"` for 1) and unknown fields are refused."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )


class Parameters(BaseModel):
    """Path or query parameters: text is converted, unknown ones are ignored."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True)


class Output(BaseModel):
    """A JSON answer."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


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

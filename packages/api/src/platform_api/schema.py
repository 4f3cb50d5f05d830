"""Base classes of what goes over the wire, and what is said when it does not fit."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError


class Input(BaseModel):
    """A JSON body. Types are strict (no `"1"` for 1) and unknown fields are refused."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", hide_input_in_errors=True)


class Parameters(BaseModel):
    """Path or query parameters: text is converted, unknown ones are ignored."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)


class Output(BaseModel):
    """A JSON answer."""

    model_config = ConfigDict(frozen=True)


def faults(error: ValidationError, place: str) -> list[dict[str, Any]]:
    """Return each fault as `{path, message, code}`; `path` is a JSON pointer (RFC 6901)."""
    return [
        {"path": _pointer([place, *fault["loc"]]), "message": fault["msg"], "code": fault["type"]}
        for fault in error.errors(include_url=False, include_input=False, include_context=False)
    ]


def _pointer(location: Sequence[str | int]) -> str:
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in location)

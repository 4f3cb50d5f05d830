"""Values that are read from text: settings and request parameters."""

import re
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidatorFunctionWrapHandler, field_validator
from pydantic_core import PydanticKnownError

INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")
NUMBER = re.compile(rf"{INTEGER.pattern}(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")

NUMBERS = (int, float, Decimal)


class FromText(BaseModel):
    """A model whose values are read from text. Numbers are written as in JSON (RFC 8259, 6).

    Pydantic alone also accepts `1_0`, ` 10`, `+10` and `10.0` as the integer 10.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True
    )

    @field_validator("*", mode="wrap")
    @classmethod
    def _require_plain_numbers(cls, given: Any, parsed: ValidatorFunctionWrapHandler) -> Any:
        value = parsed(given)
        if isinstance(given, list):
            for text, item in zip(given, value, strict=False):
                _require_plain(text, item)
        else:
            _require_plain(given, value)
        return value


def _require_plain(text: object, value: object) -> None:
    if not isinstance(value, NUMBERS) or not isinstance(text, str) or isinstance(value, bool):
        return
    if isinstance(value, int) and not INTEGER.fullmatch(text):
        raise PydanticKnownError("int_parsing")
    if not NUMBER.fullmatch(text):
        raise PydanticKnownError("float_parsing")

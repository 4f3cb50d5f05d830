"""Values that come as texts: settings, and the parameters of a request."""

import re
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, ValidatorFunctionWrapHandler, field_validator
from pydantic_core import PydanticKnownError

INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")
NUMBER = re.compile(rf"{INTEGER.pattern}(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


class FromText(BaseModel):
    """A model whose values are texts. A number is written as in JSON (RFC 8259, 6).

    Pydantic alone takes `1_0`, ` 10`, `+10` and `10.0` for the integer ten as well.
    """

    @field_validator("*", mode="wrap")
    @classmethod
    def _require_plain_numbers(cls, given: Any, parsed: ValidatorFunctionWrapHandler) -> Any:
        value = parsed(given)
        items = zip(given, value, strict=False) if isinstance(given, list) else [(given, value)]
        for text, number in items:
            if isinstance(text, str) and isinstance(number, int | float | Decimal):
                _require_plain(text, number)
        return value


def _require_plain(text: str, number: float | Decimal) -> None:
    if isinstance(number, bool):
        return
    if isinstance(number, int) and not INTEGER.fullmatch(text):
        raise PydanticKnownError("int_parsing")
    if not NUMBER.fullmatch(text):
        raise PydanticKnownError("float_parsing")

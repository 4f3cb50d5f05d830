"""Keyset pages: a cursor says behind which item to go on, so no page shifts under the reader."""

import base64
import binascii
from typing import Annotated, Generic, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from platform_api.errors import ValidationFailed
from platform_api.schema import Output, Parameters

Item = TypeVar("Item")
Mark = TypeVar("Mark")

LIMIT_MAX = 100


class PageQuery(Parameters):
    limit: Annotated[int, Field(ge=1, le=LIMIT_MAX, description="How many items at most.")] = 20
    cursor: Annotated[
        str | None,
        Field(max_length=1024, description="`next_cursor` of the page before; opaque."),
    ] = None


class Page(Output, Generic[Item]):
    items: list[Item]
    next_cursor: str | None
    """Ask with it for the next page; null on the last one."""


class Cursor(Generic[Mark]):
    """Turns a place in a list into opaque text and back."""

    def __init__(self, mark: type[Mark]) -> None:
        self._adapter = TypeAdapter(mark)

    def encode(self, mark: Mark) -> str:
        return base64.urlsafe_b64encode(self._adapter.dump_json(mark)).decode().rstrip("=")

    def decode(self, cursor: str | None) -> Mark | None:
        """Raises `ValidationFailed` when the text is no cursor of this list."""
        if cursor is None:
            return None
        try:
            json = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars="-_", validate=True)
            return self._adapter.validate_json(json)
        except (ValueError, binascii.Error, ValidationError):
            fault = {"path": "/query/cursor", "message": "Not a cursor", "code": "cursor_invalid"}
            raise ValidationFailed(errors=[fault]) from None

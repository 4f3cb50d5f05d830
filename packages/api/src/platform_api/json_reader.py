"""Parses JSON into models in linear time, even if it has many errors."""

from typing import Any, Generic, TypeVar, cast

from pydantic import TypeAdapter, ValidationInfo
from pydantic_core import CoreSchema, PydanticKnownError, SchemaValidator
from pydantic_core.core_schema import with_info_plain_validator_function

from platform_api.declaration import DeclarationInvalid
from platform_api.errors import ValidationFailed

T = TypeVar("T")

SHORT = 500
"""Values at most in JSON that is short enough to name all its faults."""
MAX_UNKNOWN = 1000
"""Unknown fields of one object at most; then the rest of the JSON is not looked at."""
CONTAINERS = ("dict", "frozenset", "list", "set", "tuple")


class JsonReader(Generic[T]):
    """Validates JSON as `type_`. In long JSON, each list or dictionary stops at its first error.

    Pydantic collects all errors before it raises. With 340,000 items that matched none of four
    types, this took 1.3 s, and formatting the messages took another 4 s.
    """

    def __init__(self, type_: Any, place: str) -> None:
        """`place` is the location of the JSON in a request, for `details.errors[].path`.

        Raises `DeclarationInvalid` for a union whose validation would take exponential time.
        """
        adapter: TypeAdapter[T] = TypeAdapter(type_)
        self._place = place
        self._all_faults = adapter.validator
        self._first_faults = SchemaValidator(
            cast(CoreSchema, self._changed(adapter.core_schema)), _use_prebuilt=False
        )
        self._object: object = None
        self._unknown = 0

    def read(self, json: str | bytes) -> T:
        """Raises pydantic's `ValidationError`, or `ValidationFailed` for too many unknown fields."""
        commas = json.count(",") if isinstance(json, str) else json.count(b",")
        validator = self._all_faults if commas < SHORT else self._first_faults
        return cast(T, validator.validate_json(json))

    def _changed(self, part: Any) -> Any:
        """Return this part of pydantic's schema, changed for long JSON."""
        if isinstance(part, list | tuple):
            return type(part)(map(self._changed, part))
        if not isinstance(part, dict):
            return part
        kind = part.get("type")
        if not isinstance(kind, str):  # Schemas by field name; a field may be called `type`.
            return {name: self._changed(schema) for name, schema in part.items()}
        changed = {
            name: value if name in ("default", "metadata") else self._changed(value)
            for name, value in part.items()
        }
        if kind == "union" and sum("definition-ref" in repr(each) for each in part["choices"]) > 1:
            raise DeclarationInvalid(
                f"{self._place}: a union of models needs a discriminator, because pydantic tries"
                " each of them at each level of the JSON"
            )
        if kind in CONTAINERS:
            changed["fail_fast"] = True
        if kind == "model" and part["config"].get("extra_fields_behavior") == "forbid":
            _fields_of(changed).update(
                extra_behavior="allow",
                extras_schema=with_info_plain_validator_function(self._refuse_unknown),
            )
        return changed

    def _refuse_unknown(self, _: object, info: ValidationInfo) -> None:
        if info.data is not self._object:  # The fields of one object share their `data`.
            self._object, self._unknown = info.data, 0
        self._unknown += 1
        if self._unknown > MAX_UNKNOWN:
            raise _too_many(self._place)
        raise PydanticKnownError("extra_forbidden")


def _fields_of(model: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of the model's fields, which is nested in its `before` validators."""
    schema: dict[str, Any] = model["schema"]
    return schema if schema["type"] == "model-fields" else _fields_of(schema)


def _too_many(place: str) -> ValidationFailed:
    fault = {"path": f"/{place}", "message": "Too many unknown fields", "code": "extra_forbidden"}
    return ValidationFailed(errors=[fault])

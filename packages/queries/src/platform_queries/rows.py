"""Values between Python and psycopg, as the annotations of a query and its row ask for them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import timedelta
from functools import cache, partial
from typing import Any, Literal, get_args, get_origin

import psycopg
from psycopg import AsyncCursor, DataError
from psycopg.abc import Buffer
from psycopg.adapt import AdaptersMap, Transformer
from psycopg.pq import Format
from psycopg.rows import AsyncRowFactory, class_row, scalar_row
from psycopg.types.array import ArrayLoader
from psycopg.types.datetime import IntervalLoader
from psycopg.types.json import Jsonb

from platform_queries.annotations import (
    declared,
    element,
    hints,
    is_json_object,
    is_label_enum,
)

Conversion = Callable[[Any], Any]


class UnreadableError(Exception):
    """A stored value does not fit the type that its column is declared with.

    The text names the query and the column. The caller sent nothing wrong.
    """


class NullBroughtError(UnreadableError):
    """A column that was promised with `NotNull` was NULL: the promise is wrong."""


class _FiniteIntervalLoader(IntervalLoader):
    """psycopg's own (3.3.9) reads `infinity` as no time at all, and in C wraps at 2**32 days."""

    def load(self, data: Buffer) -> timedelta:
        if b"infinity" in bytes(data):
            raise DataError(f"an interval that has no end: {bytes(data).decode()}")
        return super().load(data)


ADAPTERS = AdaptersMap(psycopg.adapters)
"""psycopg's adapters with ours over them, for `connect(context=ADAPTERS)`."""
ADAPTERS.register_loader("interval", _FiniteIntervalLoader)


@cache
def row_factory(row: Any) -> AsyncRowFactory[Any]:
    """Return what makes rows of `row`: a dataclass by the names of the columns, or one value."""
    if not is_row_class(row):
        conversion = _conversion("the value", row)
        return scalar_row if conversion is None else partial(_scalar_row, conversion)
    annotations = hints(row)
    found = {field.name: _conversion(field.name, annotations[field.name]) for field in fields(row)}
    conversions = {name: convert for name, convert in found.items() if convert is not None}
    return partial(_converted_row, row, conversions) if conversions else class_row(row)


def unreadable_column(row: Any, cursor: AsyncCursor[Any]) -> str | None:
    """Return the first column of the cursor's result with a value that cannot be read.

    Reads everything once more, so it is for use after reading has failed.
    """
    result = cursor.pgresult
    if result is None:
        return None
    transformer = Transformer(cursor)
    for column, name in enumerate(described.name for described in cursor.description or ()):
        load = transformer.get_loader(result.ftype(column), Format.TEXT).load
        convert = _column_conversion(row, name)
        values = (result.get_value(line, column) for line in range(result.ntuples))
        if not all(_is_readable(value, load, convert) for value in values):
            return name
    return None


def is_row_class(row: Any) -> bool:
    return isinstance(row, type) and is_dataclass(row)


def adapted(parameters: dict[str, Any], json: frozenset[str]) -> dict[str, Any]:
    """Return the parameters with those named in `json` as psycopg sends JSON."""
    if not json:
        return parameters
    return {name: _as_json(value) if name in json else value for name, value in parameters.items()}


@cache
def json_parameters(query: Any) -> frozenset[str]:
    """Return the names of the parameters that are JSON objects."""
    return frozenset(
        name
        for name, annotation in hints(query).items()
        if is_json_object(declared(annotation).kind)
    )


class _Labels(ArrayLoader):
    """Arrays of enums: psycopg knows neither their type nor that they are arrays."""

    base_oid = 0


def _column_conversion(row: Any, name: str) -> Conversion | None:
    return _conversion(name, hints(row).get(name) if is_row_class(row) else row)


def _is_readable(value: Any, load: Conversion, convert: Conversion | None) -> bool:
    try:
        loaded = None if value is None else load(value)
        if convert is not None:
            convert(loaded)
    except Exception:  # noqa: BLE001  # Loaders raise DataError, ValueError, OverflowError and more.
        return False
    return True


def _scalar_row(conversion: Conversion, cursor: AsyncCursor[Any]) -> Callable[[Sequence[Any]], Any]:
    value = scalar_row(cursor)
    return lambda values: conversion(value(values))


def _converted_row(
    row: type[Any], conversions: Mapping[str, Conversion], cursor: AsyncCursor[Any]
) -> Callable[[Sequence[Any]], Any]:
    names = [column.name for column in cursor.description or ()]
    steps = [(i, conversions[name]) for i, name in enumerate(names) if name in conversions]

    def make(values: Sequence[Any]) -> Any:
        converted = list(values)
        for position, conversion in steps:
            converted[position] = conversion(converted[position])
        return row(**dict(zip(names, converted, strict=True)))

    return make


def _conversion(name: str, annotation: Any) -> Conversion | None:
    found = declared(annotation)
    convert = _of_kind(found.kind)
    if found.not_null:
        return partial(_required, name, convert)
    # JSON has a null of its own, which no NOT NULL keeps out.
    return partial(_unless_null, convert) if convert and found.optional else convert


def _of_kind(kind: Any) -> Conversion | None:
    if is_json_object(kind):
        return partial(_json_object, getattr(kind, "__required_keys__", frozenset()))
    if get_origin(kind) is not list:
        return _of_label(kind)
    of_member = _of_label(declared(element(kind)).kind)
    return _list if of_member is None else partial(_members, of_member)


def _of_label(kind: Any) -> Conversion | None:
    if is_label_enum(kind):
        return kind  # type: ignore[no-any-return]  # An enum is called with a label.
    return partial(_one_of, get_args(kind)) if get_origin(kind) is Literal else None


def _unless_null(conversion: Conversion, value: Any) -> Any:
    return None if value is None else conversion(value)


def _required(name: str, conversion: Conversion | None, value: Any) -> Any:
    if value is None:
        raise NullBroughtError(f"{name} was promised with NotNull, but PostgreSQL sent NULL")
    return value if conversion is None else conversion(value)


def _one_of(members: tuple[Any, ...], value: Any) -> Any:
    if value not in members:
        raise ValueError(f"{value!r} is not one of {members}")
    return value


def _list(value: Any) -> Any:
    """Of an array psycopg always makes one; JSON may be something else."""
    if not isinstance(value, list):
        raise TypeError(f"a list was expected, not {type(value).__name__}")
    return value


def _json_object(required: frozenset[str], value: Any) -> Any:
    """Raises TypeError or ValueError unless `value` is an object with all `required` keys (of a TypedDict)."""
    if not isinstance(value, dict):
        raise TypeError(f"a JSON object was expected, not {type(value).__name__}")
    if missing := required - value.keys():
        raise ValueError(f"the JSON object lacks {', '.join(sorted(missing))}")
    return value


def _members(kind: Conversion, value: Any) -> list[Any]:
    """An array of an enum comes as text, one in JSON as a list."""
    labels = _Labels(0).load(value.encode()) if isinstance(value, str) else _list(value)
    return [None if label is None else kind(label) for label in labels]


def _as_json(value: Any) -> Any:
    return None if value is None else Jsonb(value)

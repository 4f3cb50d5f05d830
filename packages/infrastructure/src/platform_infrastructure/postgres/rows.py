"""Values between Python and psycopg, as the annotations of a query and its row ask for them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache, partial
from typing import Any

from psycopg import AsyncCursor
from psycopg.rows import AsyncRowFactory, class_row, scalar_row
from psycopg.types.array import ArrayLoader
from psycopg.types.json import Jsonb

from platform_infrastructure.postgres.annotations import (
    declared,
    element,
    hints,
    is_json_object,
    is_label_enum,
)

Conversion = Callable[[Any], Any]


class NullBroughtError(Exception):
    """A column that was promised with `NotNull` was NULL: the promise is wrong."""


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
    return None if convert is None else partial(_unless_null, convert)


def _of_kind(kind: Any) -> Conversion | None:
    if is_label_enum(kind):
        return kind  # type: ignore[no-any-return]  # An enum is called with a label.
    inner = declared(element(kind)).kind
    return partial(_members, inner) if is_label_enum(inner) else None


def _unless_null(conversion: Conversion, value: Any) -> Any:
    return None if value is None else conversion(value)


def _required(name: str, conversion: Conversion | None, value: Any) -> Any:
    if value is None:
        raise NullBroughtError(f"{name} was promised with NotNull, but PostgreSQL sent NULL")
    return value if conversion is None else conversion(value)


def _members(kind: Conversion, text: str) -> list[Any]:
    labels = _Labels(0).load(text.encode())
    return [None if label is None else kind(label) for label in labels]


def _as_json(value: Any) -> Any:
    return None if value is None else Jsonb(value)

"""Whether an annotation is what psycopg makes of a PostgreSQL type, and the other way round."""

import datetime
from collections.abc import Mapping
from decimal import Decimal
from enum import Enum
from typing import Any, get_args, get_origin
from uuid import UUID

from platform_queries.annotations import (
    declared,
    element,
    is_json_object,
    is_json_wrapper,
    labels,
    shown,
)
from platform_queries.verify.catalog import Catalog, Type

PYTHON: Mapping[str, type[Any]] = {
    "bool": bool,
    "bpchar": str,
    "bytea": bytes,
    "citext": str,
    "date": datetime.date,
    "float4": float,
    "float8": float,
    "int2": int,
    "int4": int,
    "int8": int,
    "interval": datetime.timedelta,
    "name": str,
    "numeric": Decimal,
    "oid": int,
    "text": str,
    "time": datetime.time,
    "timestamp": datetime.datetime,
    "timestamptz": datetime.datetime,
    "timetz": datetime.time,
    "uuid": UUID,
    "varchar": str,
}
JSON = ("json", "jsonb")
JSON_KINDS = (Any, object, dict, list, str, int, float, bool)


def column_mismatch(catalog: Catalog, oid: int, annotation: Any) -> str | None:
    """Say what is wrong when a column of this type is read as `annotation`."""
    found, kind = catalog.base_type(oid), declared(annotation).kind
    if found.internal in JSON:
        return None if _is_json(kind) else _expected("Any, dict[…] or list[…]", kind)
    if found.kind == "e":
        return _labels_mismatch(found, kind, lacking_too=True)
    if found.element:
        return _array_mismatch(catalog, found, kind, column_mismatch)
    return _plain_mismatch(found, kind)


def parameter_mismatch(catalog: Catalog, oid: int, annotation: Any) -> str | None:
    """Say what is wrong when `annotation` is sent as this type."""
    found, kind = catalog.base_type(oid), declared(annotation).kind
    if found.internal in JSON:
        is_json = is_json_object(kind) or is_json_wrapper(kind)
        return None if is_json else _expected("dict[…], a TypedDict or psycopg's Jsonb", kind)
    if found.kind == "e":
        return _labels_mismatch(found, kind, lacking_too=False)
    if found.element:
        return _array_mismatch(catalog, found, kind, parameter_mismatch)
    return _plain_mismatch(found, kind)


def _expected(wanted: str, kind: Any) -> str:
    return f"expected {wanted}, got {shown(kind)}"


def _plain_mismatch(found: Type, kind: Any) -> str | None:
    if found.kind == "c" or found.internal == "record":
        return "a composite has no Python type: select its fields one by one"
    python = PYTHON.get(found.internal)
    if python is None:
        return "there is no Python type for it: cast it to text or to another type"
    return None if kind is python else _expected(python.__name__, kind)


def _is_json(kind: Any) -> bool:
    members = get_args(kind) if get_origin(kind) not in (dict, list) else ()
    if members:
        return all(_is_json(declared(member).kind) for member in members)
    return is_json_object(kind) or (get_origin(kind) or kind) in JSON_KINDS


def _labels_mismatch(found: Type, kind: Any, *, lacking_too: bool) -> str | None:
    declared_labels = labels(kind)
    if declared_labels is None:
        wanted = ", ".join(map(repr, found.labels))
        not_strings = isinstance(kind, type) and issubclass(kind, Enum)
        hint = "; its members must be strings" if not_strings else ""
        return _expected(f"a StrEnum or Literal of {wanted}", kind) + hint
    surplus = [label for label in declared_labels if label not in found.labels]
    lacking = [label for label in found.labels if label not in declared_labels]
    if surplus:
        return f"{shown(kind)} has labels that PostgreSQL does not: {', '.join(surplus)}"
    if lacking and lacking_too:
        return f"{shown(kind)} lacks labels that PostgreSQL has: {', '.join(lacking)}"
    return None


def _array_mismatch(catalog: Catalog, found: Type, kind: Any, mismatch: Any) -> str | None:
    inner = catalog.sql_type(found.element)
    if inner.kind == "d":
        return f"an array of a domain has no Python type: cast it to {_base(catalog, inner)}[]"
    if get_origin(kind) is not list:
        return _expected("list[…]", kind)
    problem: str | None = mismatch(catalog, found.element, element(kind))
    return f"its elements: {problem}" if problem else None


def _base(catalog: Catalog, domain: Type) -> str:
    return catalog.base_type(domain.oid).name

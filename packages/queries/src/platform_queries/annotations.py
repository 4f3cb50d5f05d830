"""What an annotation says about a value of PostgreSQL, without the wrappings Python allows."""

import types
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import reduce
from operator import or_
from typing import (
    Annotated,
    Any,
    Literal,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from psycopg.types.json import Json, Jsonb


class NotNull:
    """`Annotated[int, NotNull]` promises what the verifier cannot prove: this is never NULL.

    It is for columns whose nullability is unknown, such as the result of a function of our own. A
    promise that is broken raises `NullBroughtError` when the row is read.
    """


@dataclass(frozen=True, slots=True)
class Declared:
    """`kind` is the bare type, e.g. `int`, a StrEnum, `list[int]` or `Any`."""

    kind: Any
    optional: bool
    not_null: bool


def declared(annotation: Any) -> Declared:
    """Look through Annotated, NewType, type aliases and `| None`."""
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *extras = get_args(annotation)
        found = declared(inner)
        return Declared(found.kind, found.optional, found.not_null or NotNull in extras)
    if origin in (Union, types.UnionType):
        return _declared_union(get_args(annotation))
    inner = getattr(annotation, "__supertype__", None) or _aliased(annotation)
    if inner is not None:
        return declared(inner)
    return Declared(annotation, annotation in (None, types.NoneType), False)


def element(kind: Any) -> Any:
    """Return what a `list[…]` holds, None for anything else."""
    return get_args(kind)[0] if get_origin(kind) is list else None


def is_label_enum(kind: Any) -> bool:
    """Whether `kind` is a StrEnum or the like: one whose members are strings."""
    return isinstance(kind, type) and issubclass(kind, str) and issubclass(kind, Enum)


def is_json_object(kind: Any) -> bool:
    return is_typeddict(kind) or (get_origin(kind) or kind) in (dict, Mapping)


def is_json_wrapper(kind: Any) -> bool:
    return kind in (Json, Jsonb)


def hints(described: Any) -> dict[str, Any]:
    """Return the annotations of a class. Raises NameError and the like where one cannot be read."""
    return get_type_hints(described, include_extras=True)


def shown(annotation: Any) -> str:
    """Return an annotation as one would write it, without the names of modules."""
    found = declared(annotation)
    name = _shown_kind(found.kind)
    return f"{name} | None" if found.optional and name != "None" else name


def labels(kind: Any) -> list[str] | None:
    """Return the labels of a StrEnum or a Literal of strings; None for anything else."""
    if is_label_enum(kind):
        return [str(member.value) for member in kind]
    values = get_args(kind) if get_origin(kind) is Literal else ()
    return list(values) if values and all(type(value) is str for value in values) else None


def _declared_union(members: tuple[Any, ...]) -> Declared:
    others = [member for member in members if member is not types.NoneType]
    optional = len(others) < len(members)
    if len(others) > 1:
        return Declared(reduce(or_, others), optional, False)
    inner = declared(others[0])
    return Declared(inner.kind, optional or inner.optional, inner.not_null)


def _aliased(annotation: Any) -> Any:
    """`type Name = …` of Python 3.12, which 3.11 does not know."""
    if type(annotation).__name__ == "TypeAliasType":
        return annotation.__value__
    return None


def _shown_kind(kind: Any) -> str:
    if get_origin(kind) is None:
        return str(getattr(kind, "__name__", kind))
    arguments = ", ".join(
        repr(argument) if isinstance(argument, str) else shown(argument)
        for argument in get_args(kind)
    )
    return f"{getattr(get_origin(kind), '__name__', get_origin(kind))}[{arguments}]"

"""Checks shared by all declarations of a feature. They run once, at start-up."""

import inspect
from collections.abc import Mapping
from dataclasses import is_dataclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel

from platform_api.schema import Output
from platform_domain.startup import StartupError


class DeclarationInvalid(StartupError):
    """A feature has an invalid declaration. The text is one sentence and names the place."""


def place_of(function: object) -> str:
    """Return the name of a function and, if known, its file and line."""
    plain = inspect.unwrap(getattr(function, "__func__", function))  # type: ignore[arg-type]
    code = getattr(plain, "__code__", None)
    if code is None:
        return repr(function)
    return f"{plain.__qualname__}, {code.co_filename}:{code.co_firstlineno}"


def require_async(function: object, where: str) -> None:
    """Raises `DeclarationInvalid` unless `function` is declared with `async def`."""
    if not inspect.iscoroutinefunction(function):
        raise DeclarationInvalid(f"{where}: the function must be `async def`")


def types_of(handler: Any, where: str, known: Mapping[str, type]) -> dict[str, Any]:
    """Return the types of a handler's parameters and its `return`.

    `known` maps each name that a parameter may have to the base class of its type. Raises
    `DeclarationInvalid` for any other parameter, and for one that is not keyword-only, has a
    default, or has no type or a wrong one.
    """
    require_async(handler, where)
    try:
        types = get_type_hints(handler)
    except NameError as error:
        raise DeclarationInvalid(f"{where}: a type cannot be resolved: {error}") from error
    for name, parameter in inspect.signature(handler).parameters.items():
        if name not in known or parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            raise DeclarationInvalid(
                f"{where}: parameter {name!r} must be one of the keyword-only"
                f" {', '.join(sorted(known))}"
            )
        if parameter.default is not inspect.Parameter.empty:
            raise DeclarationInvalid(
                f"{where}: parameter {name!r} must have no default: it is always given"
            )
        if name not in types:
            raise DeclarationInvalid(f"{where}: parameter {name!r} has no type")
        if not is_class(types[name], known[name]):
            raise DeclarationInvalid(f"{where}: {name!r} must be of type {known[name].__name__}")
    if "return" not in types:
        raise DeclarationInvalid(f"{where}: the handler must say what it returns")
    return types


def is_class(annotation: Any, base: type) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, base)


def check_answer(answer: Any, where: str) -> None:
    """Raises `DeclarationInvalid` if the answer, or a model or dataclass inside it, is not an
    `Output`: all fields of such a class would be sent."""
    if not _is_output(answer):
        raise DeclarationInvalid(
            f"{where}: the return type must be an Output, a list of them or a Page of them, or None"
        )
    if inside := _not_output(answer, set()):
        raise DeclarationInvalid(
            f"{where}: the answer contains {inside.__name__}, which is no Output"
        )


def _is_output(annotation: Any) -> bool:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _is_output(get_args(annotation)[0])
    if origin in (list, Union, UnionType):
        return all(_is_output(part) for part in get_args(annotation))
    return is_class(annotation, Output)


def _not_output(annotation: Any, seen: set[type]) -> type | None:
    parts: list[Any] = [*get_args(annotation)]
    if isinstance(annotation, type) and annotation not in seen:
        seen.add(annotation)
        if issubclass(annotation, Output):
            parts += [field.annotation for field in annotation.model_fields.values()]
        elif is_dataclass(annotation) or issubclass(annotation, BaseModel):
            return annotation
    return next((found for part in parts if (found := _not_output(part, seen))), None)

"""From texts to settings, and from pydantic's complaints to ours."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from platform_config.problems import Problem
from platform_config.section import Choice
from platform_config.settings import Settings
from platform_config.sources import Found
from platform_config.variables import Variable, shown, variables

NOUNS: Mapping[object, str] = {int: "a whole number", float: "a number", bool: "true or false"}


def parse(values: Mapping[str, Found]) -> tuple[Settings, list[Problem]]:
    """Return the settings and what is wrong with single values.

    A wrong value is replaced by its default, so that the other values can still be checked
    against each other.
    """
    try:
        return _settings(values), []
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
    problems = {problem.name: problem for problem in _problems(details, values)}
    good = {name: found for name, found in values.items() if name not in problems}
    return _settings(good), list(problems.values())


def _settings(values: Mapping[str, Found]) -> Settings:
    tree: dict[str, Any] = {}
    for name, found in values.items():
        *sections, field = variables()[name].path
        branch = tree
        for section in sections:
            branch = branch.setdefault(section, {})
        branch[field] = found.text
    return Settings.model_validate(tree)


def _problems(details: list[ErrorDetails], values: Mapping[str, Found]) -> Iterator[Problem]:
    by_path: dict[tuple[int | str, ...], Variable] = {
        variable.path: variable for variable in variables().values()
    }
    for error in details:
        variable = by_path[error["loc"][:2]]
        found = values[variable.name]
        yield Problem(
            name=variable.name,
            origin=found.origin,
            found=shown(variable, found.text),
            expected=_expected(variable, error),
            fix=_fix(variable, found.text),
        )


def _fix(variable: Variable, wrong: str) -> str:
    name, kind = variable.name, variable.field.annotation
    meant = kind.meant(wrong) if isinstance(kind, type) and issubclass(kind, Choice) else None
    if meant:
        return f"did you mean {meant}? Give {name} such a value, e.g. {name}={meant}"
    return f"give {name} such a value, e.g. {name}={variable.example}"


def _expected(variable: Variable, error: ErrorDetails) -> str:
    context = error.get("ctx", {})
    if isinstance(context.get("error"), ValueError):
        return str(context["error"])
    if "expected" in context:
        return "one of " + str(context["expected"]).replace("'", "")
    noun = NOUNS.get(variable.field.annotation)
    return f"{noun}{_bounds(variable)}" if noun else variable.field.description or ""


def _bounds(variable: Variable) -> str:
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    found = {
        key: bound
        for constraint in variable.field.metadata
        for key in words
        if (bound := getattr(constraint, key, None)) is not None
    }
    if found.keys() == {"ge", "le"}:
        return f" from {found['ge']} to {found['le']}"
    return "".join(f", {words[key]} {bound}" for key, bound in found.items())

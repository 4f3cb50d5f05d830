"""The variables that settings are read from: one for each field of each section."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import get_args, get_origin

from pydantic import Secret, SecretBytes, SecretStr
from pydantic.fields import FieldInfo

from platform_config.section import REQUIRED_IN_PRODUCTION, Section
from platform_config.settings import Settings

HIDDEN = "***"
SECRETS = (Secret, SecretBytes, SecretStr)
LONGEST_QUOTED = 200


@dataclass(frozen=True, slots=True)
class Variable:
    """One name an admin can set. `path` leads to the field from `Settings`."""

    name: str
    path: tuple[str, ...]
    field: FieldInfo

    @property
    def secret(self) -> bool:
        return holds_secret(self.field.annotation)

    @property
    def required_in_production(self) -> bool:
        return REQUIRED_IN_PRODUCTION in self.field.metadata

    @property
    def default(self) -> str:
        return written(self.field.default)

    @property
    def example(self) -> str:
        return next(iter(self.field.examples or ()), None) or self.default

    def value(self, settings: Settings) -> str:
        """Return the value as an admin would write it; a secret is hidden."""
        value: object = settings
        for attribute in self.path:
            value = getattr(value, attribute)
        return written(value)


@cache
def variables() -> Mapping[str, Variable]:
    """Return all variables by name, in the order of `Settings`."""
    return {variable.name: variable for variable in _walk()}


def _walk() -> Iterator[Variable]:
    yield Variable("APP_ENV", ("environment",), Settings.model_fields["environment"])
    for attribute, section in sections():
        for name, field in section.model_fields.items():
            yield Variable((section.prefix + name).upper(), (attribute, name), field)


def sections() -> Iterator[tuple[str, type[Section]]]:
    """Yield each section of `Settings` with the attribute it is found under."""
    for attribute, field in Settings.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, Section):
            yield attribute, section


def written(value: object) -> str:
    """Return a value as an admin would write it; a secret is hidden."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case float():
            return str(value).removesuffix(".0")
        case Secret() | SecretBytes() | SecretStr():
            return HIDDEN
        case tuple():
            return ",".join(map(written, value))
        case _:
            return str(value)


def holds_secret(annotation: object) -> bool:
    """Tell whether a type is one of pydantic's secrets, or one of its parts is."""
    bare = get_origin(annotation) or annotation
    if isinstance(bare, type) and issubclass(bare, SECRETS):
        return True
    return any(map(holds_secret, get_args(annotation)))


def shown(variable: Variable, text: str) -> str:
    """Return what was written, fit for a report."""
    return "a secret, which is not shown" if variable.secret else quoted(text)


def quoted(text: str) -> str:
    """Return the text in quotes, shortened if long, with invisible characters as `\\u200b`."""
    clear = masked(text)
    cut = clear if len(clear) <= LONGEST_QUOTED else f"{clear[:LONGEST_QUOTED]}…"
    return json.dumps(cut, ensure_ascii=not cut.isprintable())


def masked(text: str) -> str:
    """Hide user and password of a URL: all up to the last @, as a password may contain one."""
    scheme, mark, rest = text.partition("://")
    _, at, place = rest.rpartition("@")
    return f"{scheme}{mark}{HIDDEN}@{place}" if at else text

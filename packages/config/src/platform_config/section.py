"""What every section of the settings is made of: its base class and the types of its fields."""

from collections.abc import Iterable
from difflib import get_close_matches
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final, Self

from pydantic import ConfigDict, Field

from platform_config.from_text import FromText
from platform_config.problems import Violation

REQUIRED_IN_PRODUCTION: Final = "required in production"
"""Marks a field, `Annotated[type, REQUIRED_IN_PRODUCTION]`, that has a default in development only.

An `Annotated` string means nothing to pydantic, which keeps it in the field's metadata.
"""

YEAR_SECONDS = 31_536_000
COUNT_MAX = 1_000_000_000

Port = Annotated[int, Field(ge=0, le=65535)]
Count = Annotated[int, Field(ge=1, le=COUNT_MAX)]
Seconds = Annotated[float, Field(ge=0, le=YEAR_SECONDS)]
# A limit below a millisecond would round to 0, which PostgreSQL and sockets read as "no limit".
Timeout = Annotated[float, Field(ge=0.001, le=YEAR_SECONDS)]


def listed(value: object) -> object:
    """Take a text apart at its commas; for `BeforeValidator`, which gets other values too."""
    if not isinstance(value, str):
        return value
    return tuple(item for part in value.split(",") if (item := part.strip()))


class Choice(StrEnum):
    """One of a few words, in upper or lower case."""

    @classmethod
    def meant(cls, wrong: str) -> Self | None:
        """Return the member that starts with `wrong` or resembles it."""
        words = {member.value.casefold(): member for member in cls}
        word = wrong.casefold()
        begun = [other for other in words if other.startswith(word)]
        found = begun if len(begun) == 1 else get_close_matches(word, words, n=1)
        return words[found[0]] if found else None

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        word = str(value).casefold()
        return next((member for member in cls if member.value.casefold() == word), None)


class Environment(Choice):
    DEVELOPMENT = "development"
    PRODUCTION = "production"

    @classmethod
    def meant(cls, wrong: str) -> Self | None:
        """Suggest a member for common names too. What serves other machines is production."""
        word = wrong.casefold()
        if word in ("live", "prd", "staging", "stage", "preview", "preprod", "qa", "uat"):
            return cls("production")
        return cls("development") if word in ("local", "test", "ci") else super().meant(wrong)


class Section(FromText):
    """One concern's settings. `prefix` and a field's name in upper case make the variable's name.

    The docstring of a section and the descriptions of its fields are what `.env.example` says.
    Each field has a default, so that a developer starts with nothing set.
    """

    model_config = ConfigDict(validate_default=True)

    prefix: ClassVar[str]

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        for name, field in cls.model_fields.items():
            if not field.description or field.is_required():
                raise TypeError(f"{cls.__name__}.{name} needs a description and a default")

    def violations(self) -> Iterable[Violation]:
        """Return what the values break together; each of them is valid alone."""
        return ()

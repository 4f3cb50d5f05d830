"""The text of `.env.example`."""

import inspect
from collections.abc import Iterator
from textwrap import wrap

from platform_config.section import Section
from platform_config.variables import Variable, sections, variables

HEAD = """\
# Every setting. Generated from platform_config: do not edit.
#
# Copy this file to .env and uncomment what you change, or set the same names in the environment.
# The environment wins over .env, .env over the file that PLATFORM_CONFIG names, that over the
# default. An empty value counts as unset. NAME_FILE=/path reads NAME from a file, e.g.
# DATABASE_URL_FILE=/run/secrets/database_url. Names that begin with TEST_ are left to the tests.

# TOML file of the same names in upper case, one a line without tables, e.g. PORT = 8000.
# Set in the environment or in .env. Default: none.
#PLATFORM_CONFIG=
"""


def env_example() -> str:
    """Return every variable with its description, its default and whether production needs it."""
    blocks = [HEAD, _entry(variables()["APP_ENV"])]
    for attribute, section in sections():
        blocks.append("\n".join(_commented(f"--- {_title(attribute, section)}")) + "\n")
        blocks += [
            _entry(variable) for variable in variables().values() if variable.path[0] == attribute
        ]
    return "\n".join(blocks)


def _title(attribute: str, section: type[Section]) -> str:
    return " ".join(inspect.cleandoc(section.__doc__ or attribute).split())


def _entry(variable: Variable) -> str:
    lines = _commented(" ".join(_facts(variable)))
    return "\n".join((*lines, f"#{variable.name}={variable.default}")) + "\n"


def _facts(variable: Variable) -> Iterator[str]:
    yield variable.field.description or ""
    if variable.required_in_production:
        yield f"Default in development: {variable.default or 'none'}. Required in production."
    else:
        yield f"Default: {variable.default or 'none'}."
    if variable.secret:
        yield "Secret."
    if variable.example != variable.default:
        yield f"Example: {variable.example}"


def _commented(text: str) -> list[str]:
    return [f"# {line}" for line in wrap(text, 97, break_long_words=False, break_on_hyphens=False)]

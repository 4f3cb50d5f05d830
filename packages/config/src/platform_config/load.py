"""Reading the configuration: every source, every check, all problems at once."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from platform_config.parse import parse
from platform_config.problems import ConfigurationError, Problem, Violation
from platform_config.settings import Settings
from platform_config.sources import (
    FILE,
    TOML,
    Found,
    Source,
    dotenv_file,
    environment,
    toml_file,
    value_files,
)
from platform_config.spelling import NAMES_OF_OTHERS, is_one_letter_off, surely
from platform_config.variables import quoted, variables

DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings, where each variable's value came from, and what an admin should look at."""

    settings: Settings
    origins: Mapping[str, str]
    warnings: Sequence[str]


def load(environ: Mapping[str, str] | None = None, dotenv: Path | None = Path(".env")) -> Loaded:
    """Read and check the configuration; a missing `.env` is fine, None reads none.

    Precedence: environment, `.env`, the TOML file that PLATFORM_CONFIG names, default.
    `X_FILE` in any of them reads X from a file. Raises `ConfigurationError` with all problems.
    """
    environ = os.environ if environ is None else environ
    source = _gathered(environ, dotenv)
    settings, wrong = parse(source.values)
    problems = [*source.problems, *wrong]
    problems += _broken_rules(settings, source.values, problems)
    misspelt = _misspelt(environ)
    slips = {} if settings.development else _slips(misspelt)
    problems += [_slip(name, meant) for name, meant in slips.items()]
    warnings = tuple(
        f"{name} in the environment is not a setting; did you mean {meant}?"
        for name, meant in misspelt.items()
        if name not in slips
    )
    if problems:
        raise ConfigurationError(problems, warnings)
    origins = {name: _origin(name, source.values) for name in variables()}
    return Loaded(settings, origins, (*warnings, *settings.warnings()))


def _names() -> list[str]:
    return [name for plain in variables() for name in (plain, plain + FILE)]


def _gathered(environ: Mapping[str, str], dotenv: Path | None) -> Source:
    names = _names()
    outer = [*names, TOML]
    sources = [dotenv_file(dotenv, outer) if dotenv else Source(), environment(environ, outer)]
    if path := sources[1].values.get(TOML) or sources[0].values.get(TOML):
        sources.insert(0, toml_file(path, names))
    merged = {name: found for source in sources for name, found in source.values.items()}
    result = value_files(merged, variables())
    result.problems[:0] = [problem for source in sources for problem in source.problems]
    return result


def _broken_rules(
    settings: Settings, values: Mapping[str, Found], problems: Sequence[Problem]
) -> Iterator[Problem]:
    # A rule that reads a refused value would judge the default that stands in for it.
    refused = {problem.name.removesuffix(FILE) for problem in problems}
    missing = _missing(settings, values, refused)
    yield from missing
    refused |= {problem.name for problem in missing}
    for violation in settings.violations():
        if refused.isdisjoint(violation.names):
            yield _violated(violation, settings, values)


def _missing(settings: Settings, values: Mapping[str, Found], refused: set[str]) -> list[Problem]:
    if settings.development:
        return []
    return [
        Problem(
            name=name,
            origin=None,
            found="nothing: it is not set, and production has no default for it",
            expected=variable.field.description or "",
            fix=f"set {name} or {name}{FILE}, e.g. {name}={variable.example}",
        )
        for name, variable in variables().items()
        if variable.required_in_production and name not in values and name not in refused
    ]


def _violated(violation: Violation, settings: Settings, values: Mapping[str, Found]) -> Problem:
    found = [f"{name}={quoted(variables()[name].value(settings))}" for name in violation.names]
    return Problem(
        name=violation.names[0],
        origin=_origin(violation.names[0], values),
        found=" with ".join(found),
        expected=violation.expected,
        fix=violation.fix,
    )


def _origin(name: str, values: Mapping[str, Found]) -> str:
    return values[name].origin if name in values else DEFAULT


def _misspelt(environ: Mapping[str, str]) -> dict[str, str]:
    """Return names in the environment that are probably typos, each with the intended setting."""
    known = [*_names(), TOML]
    return {
        name: meant
        for name in sorted(environ.keys() - {*known, *NAMES_OF_OTHERS})
        if (meant := surely(name, known))
    }


def _slips(misspelt: Mapping[str, str]) -> dict[str, str]:
    return {name: meant for name, meant in misspelt.items() if is_one_letter_off(name, meant)}


def _slip(name: str, meant: str) -> Problem:
    return Problem(
        name=name,
        origin="environment",
        found=f"an unknown name, one letter off {meant}",
        expected="a name that .env.example lists",
        fix=f"rename it to {meant}, or remove it",
    )

"""Short ways to load a configuration in a test."""

from collections.abc import Mapping
from pathlib import Path

from platform_config import ConfigurationError, Problem, load


def refused(environ: Mapping[str, str], dotenv: Path | None = None) -> ConfigurationError:
    """Load what must not be accepted and return the refusal."""
    try:
        load(environ, dotenv)
    except ConfigurationError as error:
        return error
    raise AssertionError("the configuration was accepted")


def only_problem(environ: Mapping[str, str], dotenv: Path | None = None) -> Problem:
    problems = refused(environ, dotenv).problems
    assert len(problems) == 1, problems
    return problems[0]


def names(error: ConfigurationError) -> list[str]:
    return [problem.name for problem in error.problems]


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path

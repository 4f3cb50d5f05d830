"""Where values come from: the environment, `.env`, a TOML file, and files that hold one value."""

import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

from dotenv.parser import Binding, parse_stream

from platform_config.problems import Problem
from platform_config.spelling import likely
from platform_config.variables import masked, written

FILE = "_FILE"
TOML = "PLATFORM_CONFIG"
TESTS = "TEST_"  # What the names of the tests begin with, which may stand in `.env` too.


@dataclass(frozen=True, slots=True)
class Found:
    """A value as it was written, and where."""

    text: str = field(repr=False)
    origin: str


@dataclass(slots=True)
class Source:
    """What one place says by name, and what is wrong with the place itself."""

    values: dict[str, Found] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def put(self, name: str, text: str, origin: str) -> None:
        """Keep a value; an empty one counts as unset."""
        if text:
            self.values[name] = Found(text, origin)

    def refuse(self, name: str, origin: str | None, found: str, expected: str, fix: str) -> None:
        self.problems.append(Problem(name, origin, found, expected, fix))

    def refuse_unknown(self, name: str, origin: str, known: Iterable[str]) -> None:
        meant = likely(name, known)
        fix = f"did you mean {meant}? Rename it, or remove it" if meant else "remove it"
        self.refuse(name, origin, "an unknown name", "a name that .env.example lists", fix)


class Unreadable(Exception):
    """A file cannot be read as text; the message says why, without the path."""


def environment(environ: Mapping[str, str], known: Collection[str]) -> Source:
    """Take the known names; all others belong to the machine."""
    source = Source()
    for name in environ.keys() & known:
        source.put(name, environ[name], "environment")
    return source


def dotenv_file(path: Path, known: Collection[str]) -> Source:
    """Read a `.env` file as python-dotenv does, without `${...}`: passwords may hold a `$`."""
    source = Source()
    try:
        text = read(path, missing="")
    except Unreadable as error:
        found, fix = f"a file that {error}", "mend or remove it"
        source.refuse(str(path), None, found, "a readable text file", fix)
        return source
    for binding in parse_stream(StringIO(text)):
        origin = f"{path} line {_line(binding)}"
        if binding.error or (binding.key and binding.value is None):
            source.refuse(origin, None, "a line without meaning", "NAME=value", "correct it")
        elif binding.key and binding.key in known:
            source.put(binding.key, binding.value or "", origin)
        elif binding.key and not binding.key.startswith(TESTS):
            source.refuse_unknown(binding.key, origin, known)
    return source


def _line(binding: Binding) -> int:
    # The parser counts the empty lines before a binding as part of it.
    text = binding.original.string
    return binding.original.line + text[: len(text) - len(text.lstrip())].count("\n")


def toml_file(path: Found, known: Collection[str]) -> Source:
    """Read a TOML file of flat names, the same as in the environment."""
    source = Source()
    origin = f"file {path.text} ({TOML})"
    try:
        table = tomllib.loads(read(Path(path.text)))
    except (Unreadable, tomllib.TOMLDecodeError) as error:
        found = f"{masked(path.text)}: {error}"
        fix = f"mend the file, or set {TOML} to another one"
        source.refuse(TOML, path.origin, found, "the path of a TOML file", fix)
        return source
    for name, value in table.items():
        if name not in known:
            source.refuse_unknown(name, origin, known)
        elif isinstance(value, str | int | float):
            source.put(name, written(value), origin)
        else:
            expected = "a string, a number, true or false"
            fix = f'write one value, e.g. {name} = "..."'
            source.refuse(name, origin, "a list, a table or a date", expected, fix)
    return source


def value_files(values: Mapping[str, Found], names: Iterable[str]) -> Source:
    """Return the values with each `X_FILE` replaced by `X`, read from that file."""
    source = Source({name: values[name] for name in names if name in values})
    for name in names:
        path = values.get(name + FILE)
        if path and name in source.values:
            origins = f"{source.values[name].origin} and {path.origin}"
            both = f"{name} and {name}{FILE}"
            source.refuse(name, origins, both, "one of the two", "remove the other")
        elif path:
            _read_value(source, name, path)
    return source


def _read_value(source: Source, name: str, path: Found) -> None:
    try:
        text = read(Path(path.text)).rstrip("\r\n")
        if not text:
            raise Unreadable("is empty")
    except Unreadable as error:
        # Somebody may have put the value where its path belongs.
        found = f"{masked(path.text)}, which {error}"
        expected = f"the path of a readable text file that holds the value of {name}"
        fix = f"correct the path or the file, or set {name} itself"
        source.refuse(name + FILE, path.origin, found, expected, fix)
    else:
        source.put(name, text, f"file {path.text} ({name}{FILE})")


def read(path: Path, missing: str | None = None) -> str:
    """Return the text of a file, or `missing` if there is none; raise `Unreadable`."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        if missing is not None and isinstance(error, FileNotFoundError):
            return missing
        raise Unreadable(f"cannot be read ({error.strerror})") from None
    except ValueError:
        raise Unreadable("is not UTF-8 text") from None

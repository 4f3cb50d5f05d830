"""Where values come from: the environment, `.env`, a TOML file, and files that hold one value."""

import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

from dotenv.parser import Binding, parse_stream

from platform_config.problems import Problem
from platform_config.spelling import likely
from platform_config.variables import quoted, shown, variables, written

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
        """Keep a value that is one printable line; an empty value counts as unset."""
        if not text.isprintable():
            found = f"{_shown(name, text)}, with {_first_unprintable(text)}"
            fix = "remove what cannot be seen: line breaks, tabs, zero-width characters"
            self.refuse(name, origin, found, "printable characters on one line", fix)
        elif text:
            self.values[name] = Found(text, origin)

    def refuse(self, name: str, origin: str | None, found: str, expected: str, fix: str) -> None:
        self.problems.append(Problem(name, origin, found, expected, fix))

    def refuse_unknown(self, name: str, origin: str, known: Iterable[str]) -> None:
        meant = likely(name, known)
        fix = f"did you mean {meant}? Rename it, or remove it" if meant else "remove it"
        self.refuse(name, origin, "an unknown name", "a name that .env.example lists", fix)


def _shown(name: str, text: str) -> str:
    return shown(variables()[name], text) if name in variables() else quoted(text)


def _first_unprintable(text: str) -> str:
    return next(f"U+{ord(char):04X}" for char in text if not char.isprintable())


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
        found, fix = f"a file that {error}", "correct the file or remove it"
        source.refuse(str(path), None, found, "a readable text file", fix)
        return source
    lines: dict[str | None, int] = {}
    for binding in parse_stream(StringIO(text)):
        line = _line(binding)
        origin = f"{path} line {line}"
        if binding.error or (binding.key and binding.value is None):
            source.refuse(origin, None, "a line without meaning", "NAME=value", "correct it")
        elif binding.key and binding.key in lines:
            found = f"{binding.key}, which is on line {lines[binding.key]} already"
            source.refuse(binding.key, origin, found, "each name once", "remove one of the two")
        elif binding.key and binding.key in known:
            source.put(binding.key, binding.value or "", origin)
        elif binding.key and not binding.key.startswith(TESTS):
            source.refuse_unknown(binding.key, origin, known)
        lines.setdefault(binding.key, line)
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
        table = _table(read(Path(path.text)))
    except Unreadable as error:
        found = f"{quoted(path.text)}, which {error}"
        fix = f"correct the file, or set {TOML} to another one"
        source.refuse(TOML, path.origin, found, "the path of a TOML file", fix)
        return source
    for name, value in table.items():
        _take(source, name, value, origin, known)
    return source


def _table(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text, parse_float=str)
    except RecursionError:
        raise Unreadable("is nested too deeply") from None
    except tomllib.TOMLDecodeError as error:
        raise Unreadable(f"is not TOML: {error}") from None
    except ValueError:  # Python's limit for integers (sys.set_int_max_str_digits).
        raise Unreadable("has a number of more than 4,300 digits") from None


def _take(source: Source, name: str, value: object, origin: str, known: Collection[str]) -> None:
    expected = "a string, a number, true or false"
    fix = f'write one value, e.g. {name} = "..."'
    match value:
        case dict():
            fix = "write each setting by its full name above all tables, e.g. PORT = 8000"
            source.refuse(name, origin, "a table", "settings outside of tables", fix)
        case _ if name not in known:
            source.refuse_unknown(name, origin, known)
        case int() if abs(value) >= 2**63:
            source.refuse(name, origin, "a whole number of more than 64 bits", expected, fix)
        case str() | int():
            source.put(name, written(value), origin)
        case _:
            source.refuse(name, origin, "a list or a date", expected, fix)


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
        found = f"{quoted(path.text)}, which {error}"
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

"""Reads migration files in dbmate's format only.

A file is `<digits><name>.sql` in UTF-8. A line `-- migrate:up` starts the part that is applied. An
optional line `-- migrate:down` starts the part that is not. Only comment lines may come before the
first marker. Each marker starts its line and may be followed by `transaction:true` or
`transaction:false` (dbmate, pkg/dbmate/migration.go). A line that resembles a marker is refused: if
it were read as a comment, the down block would become part of the up block. dbmate's newer format
with several up blocks per file is refused too: one file is one step.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable
from itertools import pairwise
from typing import NoReturn

from platform_domain.startup import StartupError
from platform_infrastructure.postgres.sql_tokens import SqlUnterminated, Token, statements, tokens

FOLDER = files("platform_infrastructure") / "migrations"
NAME = re.compile(r"([0-9]++).*\.sql")
BLANKS = " \t\r\f"
MARKER = re.compile(rf"--[{BLANKS}]*migrate:(?P<block>up|down)(?:[{BLANKS}]++(?P<options>.*))?")
HIDDEN_MARKER = re.compile(rf"^--[{BLANKS}]*migrate:(?:up|down)(?:[{BLANKS}]|$)", re.MULTILINE)
LOOKALIKE = re.compile(
    r"\W*migrate(?:\s*:\s*(?:up|down)|\W*(?:up|down)\W*(?:transaction|$))", re.IGNORECASE
)
TRANSACTION_COMMANDS = ("BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT")


class MigrationInvalid(StartupError):
    """A migration file is not in dbmate's format, or two files have the same version."""


@dataclass(frozen=True)
class Migration:
    """`sql` is the up block with LF line ends. It starts at line `line` of the file."""

    version: str
    name: str
    sql: str
    in_transaction: bool
    line: int = 1

    @cached_property
    def checksum(self) -> str:
        """SHA-256 of the up block in hexadecimal. Line ends and outer whitespace are ignored."""
        return hashlib.sha256(f"{self.in_transaction} {self.sql.strip()}".encode()).hexdigest()

    @cached_property
    def is_empty(self) -> bool:
        """Whether there is no statement: the author has not written it yet."""
        return not any(statements(tokens(self.sql)))


def migrations(folder: Traversable = FOLDER) -> list[Migration]:
    """Return all migrations in the order of their versions. Raises `MigrationInvalid`."""
    found = sorted(map(_read, _files(folder)), key=lambda migration: migration.version)
    for earlier, later in pairwise(found):
        if earlier.version == later.version:
            raise MigrationInvalid(f"{earlier.name} and {later.name} have the same version.")
    return found


def _files(folder: Traversable) -> Iterator[Traversable]:
    """Yield the `….sql` files. Hidden files belong to editors and file systems."""
    for file in folder.iterdir():
        if file.name.lower().endswith(".sql") and not file.name.startswith("."):
            yield file


def _read(file: Traversable) -> Migration:
    version = NAME.fullmatch(file.name)
    if version is None:
        raise MigrationInvalid(f"{file.name}: the name must be <digits>_<name>.sql.")
    return _File(file.name, _text(file)).migration(version[1])


def _text(file: Traversable) -> str:
    if not file.is_file():
        raise MigrationInvalid(f"{file.name}: this is not a file.")
    try:
        content = file.read_bytes()
    except OSError as error:
        raise MigrationInvalid(f"{file.name}: {error.strerror}.") from error
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise MigrationInvalid(f"{file.name}:{line}: this is not UTF-8.") from None
    return text.replace("\r\n", "\n")


@dataclass(frozen=True, slots=True)
class _Marker:
    block: str
    options: Sequence[str]
    start: int
    end: int


class _File:
    """The text of one file, with errors that name its lines."""

    def __init__(self, name: str, text: str) -> None:
        self._name = name
        self._text = text

    def migration(self, version: str) -> Migration:
        self._refuse_bytes()
        found = self._tokens()
        up, *rest = self._markers(found)
        end = rest[0].start if rest else len(self._text)
        self._refuse_before(up, found)
        for statement in statements(token for token in found if up.end < token.start < end):
            self._refuse_statement(statement)
        return Migration(
            version,
            self._name,
            self._text[up.end + 1 : end],
            in_transaction="transaction:false" not in up.options,
            line=self._line(up.start) + 1,
        )

    def _line(self, offset: int) -> int:
        return self._text.count("\n", 0, offset) + 1

    def _refuse(self, offset: int, reason: str) -> NoReturn:
        raise MigrationInvalid(f"{self._name}:{self._line(offset)}: {reason}.")

    def _refuse_bytes(self) -> None:
        if self._text.startswith("\ufeff"):
            self._refuse(0, "the file begins with a byte order mark: save it as UTF-8 without one")
        if "\0" in self._text:
            self._refuse(self._text.index("\0"), "there is a NUL byte, as in UTF-16: save as UTF-8")

    def _tokens(self) -> list[Token]:
        try:
            return list(tokens(self._text))
        except SqlUnterminated as error:
            self._refuse(error.start, str(error))

    def _markers(self, found: Sequence[Token]) -> list[_Marker]:
        markers = [marker for token in found if (marker := self._marker(token))]
        blocks = [marker.block for marker in markers]
        if not blocks:
            self._refuse(0, "there is no line '-- migrate:up'")
        if blocks[0] == "down":
            self._refuse(markers[0].start, "'-- migrate:down' comes before '-- migrate:up'")
        if len(blocks) > 1 and blocks[1] == "up":
            self._refuse(markers[1].start, "a second '-- migrate:up': put it in a file of its own")
        if len(blocks) > 2:
            self._refuse(markers[2].start, f"a second '-- migrate:{blocks[2]}'")
        return markers

    def _marker(self, token: Token) -> _Marker | None:
        """Return the marker in `token`. Refuses a comment that may be a mistyped marker."""
        if token.kind == "comment" and self._text[token.start - 1 : token.start] in ("", "\n"):
            end = self._text.find("\n", token.start)
            end = len(self._text) if end < 0 else end
            if found := MARKER.fullmatch(self._text[token.start : end].rstrip(BLANKS)):
                return _Marker(found["block"], self._options(found, token), token.start, end)
        if token.is_comment and any(map(LOOKALIKE.match, token.text.splitlines())):
            self._refuse(
                token.start,
                "this looks like a marker and is none: '-- migrate:up' and '-- migrate:down' are"
                " written in small letters at the beginning of a line",
            )
        if not token.is_comment and (hidden := HIDDEN_MARKER.search(token.text)):
            self._refuse(token.start + hidden.start(), "there is a marker inside of a literal")
        return None

    def _options(self, found: re.Match[str], token: Token) -> Sequence[str]:
        options = (found["options"] or "").split()
        if options not in ([], ["transaction:true"], ["transaction:false"]):
            self._refuse(
                token.start,
                f"only transaction:true or transaction:false may follow '-- migrate:{found['block']}'"
                " on its line",
            )
        return options

    def _refuse_before(self, up: _Marker, found: Sequence[Token]) -> None:
        for token in found:
            if token.start < up.start and token.kind != "comment":
                self._refuse(token.start, "only comment lines may stand before '-- migrate:up'")

    def _refuse_statement(self, statement: Sequence[Token]) -> None:
        words = [token.text.upper() for token in statement if token.kind in ("word", "symbol")]
        if _is_for_transactions(words):
            self._refuse(
                statement[0].start,
                f"{words[0]} is not for a migration: the file and its record are one transaction",
            )
        if words[:1] == ["COPY"] and not {"STDIN", "STDOUT"}.isdisjoint(words):
            self._refuse(statement[0].start, "COPY has no client here: write INSERT")


def _is_for_transactions(words: Sequence[str]) -> bool:
    """Whether a statement starts or ends a transaction. ROLLBACK TO a savepoint does neither."""
    if words[:2] == ["PREPARE", "TRANSACTION"]:
        return True
    return bool(words) and words[0] in TRANSACTION_COMMANDS and "TO" not in words[1:3]

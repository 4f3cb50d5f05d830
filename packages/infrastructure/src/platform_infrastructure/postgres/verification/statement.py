"""A statement with `%(name)s` for parameters, as PostgreSQL gets it: with `$1`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

PLACEHOLDER = re.compile(
    r"%(?:(?P<percent>%)|\((?P<name>[^()%]*)\)(?P<format>.?)|(?P<other>.?))", re.DOTALL
)


class StatementInvalid(Exception):
    """psycopg would refuse this. `offset` is where, counted in characters from 0."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Statement:
    """`names` are the parameters in the order of their numbers."""

    text: str
    names: list[str]
    moves: Sequence[tuple[int, int]]

    def offset(self, position: int) -> int:
        """Return where in the source is what PostgreSQL calls `position`, counted from 1."""
        source = 0
        for here, there in self.moves:
            if here > position - 1:
                break
            source = there - here
        return position - 1 + source


def numbered(sql: str) -> Statement:
    """Replace the placeholders as psycopg does. Raises `StatementInvalid`."""
    names: list[str] = []
    moves: list[tuple[int, int]] = []
    text = ""
    end = 0
    for found in PLACEHOLDER.finditer(sql):
        text += sql[end : found.start()] + _replacement(found, names)
        end = found.end()
        moves.append((len(text), end))
    return Statement(text + sql[end:], names, moves)


def _replacement(found: re.Match[str], names: list[str]) -> str:
    if found["percent"]:
        return "%"
    if found["name"] is None:
        raise StatementInvalid(
            "write %% for a percent sign and %(name)s for a value", found.start()
        )
    if found["format"] != "s":
        raise StatementInvalid(f"a parameter is written %({found['name']})s", found.start())
    if found["name"] not in names:
        names.append(found["name"])
    return f"${names.index(found['name']) + 1}"

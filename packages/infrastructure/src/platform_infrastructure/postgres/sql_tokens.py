"""Splits SQL text into tokens as PostgreSQL's scanner does (src/backend/parser/scan.l).

It does only what is needed to find comments and the first words of each statement.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

LETTER = r"A-Za-z_\u0080-\U0010ffff"
TOKEN = re.compile(
    rf"""
    (?P<space>[ \t\n\r\f\v]++)
    | (?P<comment>--[^\r\n]*+)
    | (?P<block_comment>/\*)
    | (?P<literal>
        [eE]'(?:[^'\\]|\\.|''|'[ \t\r\f\v]*+\n[ \t\n\r\f\v]*+')*+'
        | '[^']*+' | "[^"]*+"
      )
    | (?P<unterminated>[eE]'|'|")
    | (?P<dollar_quote>\$(?:[{LETTER}][{LETTER}0-9]*+)?\$)
    | (?P<word>[{LETTER}][{LETTER}0-9$]*+)
    | (?P<symbol>.)
    """,
    re.VERBOSE | re.DOTALL,
)
COMMENT_EDGE = re.compile(r"/\*|\*/")


class SqlUnterminated(Exception):
    """A literal or comment has no end. `start` is its first character, counted from 0."""

    def __init__(self, start: int) -> None:
        super().__init__("a quote or a comment has no end")
        self.start = start


@dataclass(frozen=True, slots=True)
class Token:
    """`kind` is a group of TOKEN, never `space`; `start` counts characters from 0."""

    kind: str
    text: str
    start: int

    @property
    def is_comment(self) -> bool:
        return self.kind in ("comment", "block_comment")


def tokens(sql: str) -> Iterator[Token]:
    """Yield every token except white space. Raises `SqlUnterminated`."""
    at = 0
    while found := TOKEN.match(sql, at):
        kind, end = str(found.lastgroup), _end(sql, found)
        if kind != "space":
            yield Token(kind, sql[at:end], at)
        at = end


def statements(found: Iterable[Token]) -> Iterator[list[Token]]:
    """Yield the tokens of each non-empty statement, without comments and the semicolon.

    A semicolon in parentheses (CREATE RULE) or in a BEGIN ATOMIC body does not end a statement.
    """
    statement: list[Token] = []
    parentheses = atomic = 0
    for token in found:
        if token.is_comment:
            continue
        if token.text == ";" and parentheses <= 0 and not atomic:
            if statement:
                yield statement
            statement, parentheses = [], 0
            continue
        parentheses += (token.text == "(") - (token.text == ")")
        atomic += _nesting(statement, token, inside=atomic > 0)
        statement.append(token)
    if statement:
        yield statement


def _end(sql: str, found: re.Match[str]) -> int:
    text, start = found[0], found.start()
    if found.lastgroup == "block_comment":
        return _end_of_comment(sql, start)
    if found.lastgroup == "dollar_quote":
        closing = sql.find(text, found.end())
        if closing < 0:
            raise SqlUnterminated(start)
        return closing + len(text)
    if found.lastgroup == "unterminated":
        raise SqlUnterminated(start)
    return found.end()


def _end_of_comment(sql: str, start: int) -> int:
    depth = 0
    for edge in COMMENT_EDGE.finditer(sql, start):
        depth += 1 if edge[0] == "/*" else -1
        if depth == 0:
            return edge.end()
    raise SqlUnterminated(start)


def _nesting(statement: list[Token], token: Token, *, inside: bool) -> int:
    """Return by how much `token` changes the depth of a BEGIN ATOMIC body."""
    word = token.text.upper()
    if inside:
        return (word == "CASE") - (word == "END")
    begun = bool(statement) and statement[-1].text.upper() == "BEGIN"
    return int(begun and word == "ATOMIC")

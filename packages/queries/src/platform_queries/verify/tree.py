"""Reads PostgreSQL's `pg_node_tree`: the analysed form of a statement, as text.

The grammar is that of `pg_strtok` and `nodeRead` in src/backend/nodes/read.c: `{KIND :field value}`,
`(…)` for lists, `<>` for nothing, a backslash before what would end a token.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

TOKEN = re.compile(r"[(){}]|(?:\\.|[^\s(){}\\])+", re.DOTALL)
ESCAPED = re.compile(r"\\(.)", re.DOTALL)


class CmdType(IntEnum):
    """Numbered as in PostgreSQL's `nodes/nodes.h`, like the other kinds here."""

    SELECT = 1
    UPDATE = 2
    INSERT = 3
    DELETE = 4
    MERGE = 5


class RTEKind(IntEnum):
    """What an entry of the range table is."""

    RELATION = 0
    SUBQUERY = 1
    JOIN = 2
    FUNCTION = 3
    VALUES = 5
    CTE = 6
    GROUP = 9


class JoinType(IntEnum):
    INNER = 0
    LEFT = 1
    FULL = 2
    RIGHT = 3


class SetOperation(IntEnum):
    UNION = 1
    INTERSECT = 2
    EXCEPT = 3


class SubLinkType(IntEnum):
    EXISTS = 0
    ALL = 1
    ANY = 2
    EXPRESSION = 4
    ARRAY = 6


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One node. The accessors read a field as what the caller knows it to be."""

    kind: str
    fields: dict[str, Any]

    def text(self, field: str) -> str:
        return str(self.fields.get(field))

    def number(self, field: str) -> int:
        """Return the field, 0 where this version of PostgreSQL has no such field."""
        return int(self.fields.get(field) or 0)

    def flag(self, field: str) -> bool:
        return self.fields.get(field) == "true"

    def node(self, field: str) -> "Node | None":
        value = self.fields.get(field)
        return value if isinstance(value, Node) else None

    def child(self, field: str) -> "Node":
        """Return a node that is always there."""
        value = self.fields[field]
        assert isinstance(value, Node)  # noqa: S101
        return value

    def items(self, field: str) -> list[Any]:
        value = self.fields.get(field)
        return value if isinstance(value, list) else []

    def nodes(self, field: str) -> list["Node"]:
        return [item for item in self.items(field) if isinstance(item, Node)]

    def numbers(self, field: str) -> frozenset[int]:
        """Return a set that is written as `(b 1 2)`."""
        return frozenset(int(item) for item in self.items(field)[1:])

    def walk(self) -> "Iterator[Node]":
        """Yield this node and all below it."""
        yield self
        for value in self.fields.values():
            yield from _walk(value)


def parse(text: str) -> Any:
    """Return the nodes, lists, strings and Nones that `text` describes."""
    tokens = iter(TOKEN.findall(text))
    return _value(next(tokens), tokens)


def queries(text: str) -> list[Node]:
    """Return the Query nodes in `text`, be they in one list or in lists of lists."""
    return [node for node in _flat(parse(text)) if isinstance(node, Node)]


def _value(token: str, tokens: Iterator[str]) -> Any:
    match token:
        case "(":
            return _list(tokens)
        case "{":
            return _node(tokens)
        case "<>":
            return None
    return ESCAPED.sub(r"\1", token) if "\\" in token else token


def _list(tokens: Iterator[str]) -> list[Any]:
    found = []
    while (token := next(tokens)) != ")":
        found.append(_value(token, tokens))
    return found


def _node(tokens: Iterator[str]) -> Node:
    node = Node(next(tokens), {})
    label = next(tokens)
    while label != "}":
        # A value may begin with a colon too, so that what follows a label is always its value.
        node.fields[label[1:]] = _value(next(tokens), tokens)
        label = next(tokens)
        while not label.startswith((":", "}")):  # The bytes behind the length of a constant.
            label = next(tokens)
    return node


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for item in value:
            yield from _flat(item)
    else:
        yield value


def _walk(value: Any) -> Iterator[Node]:
    for item in _flat(value):
        if isinstance(item, Node):
            yield from item.walk()

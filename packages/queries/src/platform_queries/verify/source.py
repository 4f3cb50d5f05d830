"""Where a query stands in its source file, so that an error names the line that is wrong."""

import ast
import inspect
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Source:
    """`literal` is the value of `sql` where it is one string in the source, else None."""

    path: Path
    line: int
    literal: ast.Constant | None

    def line_at(self, offset: int | None) -> int:
        """Return the line of character `offset` of the SQL."""
        if self.literal is None or offset is None:
            return self.line
        sql, first = str(self.literal.value), self.literal.lineno
        # In a literal of one piece, without escaped line ends, lines are lines.
        is_plain = sql.count("\n") == (self.literal.end_lineno or first) - first
        return first + sql[:offset].count("\n") if is_plain else first


def source(query: type[Any]) -> Source | None:
    """Return where `query` is defined, None where it is in no file."""
    try:
        path = Path(inspect.getfile(query))
        tree = parsed(path)
    except (OSError, TypeError):
        return None
    found = _class_at(tree, query.__qualname__.replace("<locals>.", "").split("."))
    if found is None:
        return None
    return Source(path, found.lineno, _literal(found))


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _class_at(tree: ast.AST, names: list[str]) -> ast.ClassDef | None:
    """Return the last definition at that path of names, as Python would."""
    found: ast.AST = tree
    for name in names:
        named = [node for node in _definitions(found) if node.name == name]
        if not named:
            return None
        found = named[-1]
    return found if isinstance(found, ast.ClassDef) else None


def _definitions(
    tree: ast.AST,
) -> list[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    """Return the definitions directly in `tree`, also those behind an `if` or a `with`."""
    found: list[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef] = []
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found.append(child)
        elif isinstance(child, ast.stmt):
            found.extend(_definitions(child))
    return found


def _literal(definition: ast.ClassDef) -> ast.Constant | None:
    values = [value for node in definition.body if (value := _assigned(node)) is not None]
    if len(values) != 1 or not isinstance(values[0], ast.Constant):
        return None
    return values[0] if isinstance(values[0].value, str) else None


def _assigned(node: ast.stmt) -> ast.expr | None:
    match node:
        case ast.Assign(targets=[ast.Name(id="sql")], value=value):
            return value
        case ast.AnnAssign(target=ast.Name(id="sql"), value=value):
            return value
    return None

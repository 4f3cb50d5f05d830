"""Our own SQL is in queries; what is not is named in docs/queries.md."""

import ast
from pathlib import Path

import platform_infrastructure

SOURCE = Path(platform_infrastructure.__file__).parent
DOCUMENT = Path(__file__).parents[3] / "docs" / "queries.md"
SENDS = {"execute", "executemany", "copy", "stream"}


def sends_sql(path: Path) -> bool:
    """Whether a module sends a text of its own. `query.execute(connection)` is no such thing."""
    calls = [n for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, ast.Call)]
    return any(
        isinstance(call.func, ast.Attribute)
        and call.func.attr in SENDS
        and ast.unparse(call.func.value).rpartition(".")[2]
        in ("connection", "_connection", "cursor")
        for call in calls
    )


def test_statements_that_are_no_queries_are_named_in_the_documentation() -> None:
    found = {
        path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py") if sends_sql(path)
    }
    text = DOCUMENT.read_text(encoding="utf-8")

    assert "postgres/migrations.py" in found
    assert {path for path in found if f"`{path}`" not in text} == set()

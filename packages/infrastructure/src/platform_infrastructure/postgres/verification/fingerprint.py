"""What of a query its verification rests on, in one hash."""

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any, cast

from platform_infrastructure.postgres import migrations
from platform_infrastructure.postgres.annotations import declared, hints
from platform_infrastructure.postgres.query import Exec, Many, Maybe, One, Query
from platform_infrastructure.postgres.rows import is_row_class
from platform_infrastructure.postgres.verification.matching import labels, shown

SHAPES = (One, Maybe, Many, Exec)
LENGTH = 16  # 64 bits: it tells changes, it is no defence.


def digest(content: object) -> str:
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]


def fingerprint(query: type[Query[Any]]) -> str:
    """Return a hash of the statement, of what goes in and comes out, and of what may be raised."""
    try:
        return digest(_identity(query))
    except (NameError, TypeError):  # An annotation that cannot be read, which verification tells.
        return ""


def _identity(query: type[Query[Any]]) -> dict[str, object]:
    return {
        "sql": query.sql,
        "shape": [shape.__name__ for shape in SHAPES if issubclass(query, shape)],
        "parameters": _fields(query),
        "row": _fields(query.row) if is_row_class(query.row) else _annotation(query.row),
        "raises": sorted(query.raises),
        "unbreakable": sorted(query.unbreakable),
    }


@cache
def migrations_hash() -> str:
    """Return a hash of the schema: of all migrations, in order."""
    return digest([(m.name, m.sql) for m in migrations.migrations()])


@cache
def verifier_hash() -> str:
    """Return a hash of the verifier itself: what a former one found is not trusted."""
    folder = files("platform_infrastructure") / "postgres"
    sources = [folder / "annotations.py", folder / "rows.py"]
    sources += sorted(_modules(folder / "verification"), key=lambda file: file.name)
    return digest([source.read_text(encoding="utf-8") for source in sources])


def _modules(folder: Any) -> list[Any]:
    return [file for file in folder.iterdir() if file.name.endswith(".py")]


def _fields(described: Any) -> Sequence[Sequence[object]]:
    annotations = hints(described)
    return [
        [field.name, _annotation(annotations[field.name])]
        for field in dataclasses.fields(cast(Any, described))
    ]


def _annotation(annotation: Any) -> list[object]:
    found = declared(annotation)
    return [shown(annotation), found.not_null, labels(found.kind)]

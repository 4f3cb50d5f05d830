"""The record of what was verified, kept in a JSON file beside the queries.

It contains type names instead of oids, so that it is the same for every database. An entry is
trusted only while its query, the schema, the verifier and the entry itself are unchanged.

"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any, cast

from platform_queries.annotations import declared, hints, labels, shown
from platform_queries.query import Exec, Many, Maybe, One, Query
from platform_queries.rows import is_row_class

QueryClass = type[Query[Any]]
QueryClasses = Mapping[str, QueryClass]

SHAPES = (One, Maybe, Many, Exec)
LENGTH = 16  # 64 bits detect changes; they do not protect against an attacker.


class Nullable(StrEnum):
    NEVER = "never"
    CAN = "can"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class VerifiedParameter:
    name: str
    type: str


@dataclass(frozen=True, slots=True)
class VerifiedColumn:
    name: str
    type: str
    nullable: Nullable
    reason: str


@dataclass(frozen=True, slots=True)
class Verified:
    """The facts about a query. `constraints` are those that a caller can violate."""

    parameters: list[VerifiedParameter] = field(default_factory=list)
    columns: list[VerifiedColumn] = field(default_factory=list)
    constraints: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Lock:
    """`entries` are keyed by full query name; `schema` is a digest of the migrations."""

    entries: Mapping[str, Mapping[str, Any]]
    schema: str

    def trusted(self, queries: QueryClasses) -> dict[str, Verified]:
        """Return the entries of the queries that need not be verified again."""
        return {
            name: _verified(entry)
            for name, query in queries.items()
            if (entry := self.entries.get(name)) and entry == _signed(query, entry, self.schema)
        }

    def lacking(self, queries: QueryClasses) -> list[str]:
        """Return the names of the queries that were not verified in their current form."""
        return [
            name
            for name, query in queries.items()
            if self.entries.get(name, {}).get("query") != fingerprint(query)
        ]


def read(text: str, schema: str) -> Lock:
    """Parse a lock file. Invalid text gives an empty lock, so everything is verified again."""
    try:
        entries = json.loads(text)["queries"]
        return Lock({name: dict(entry) for name, entry in entries.items()}, schema)
    except (ValueError, KeyError, TypeError, AttributeError):
        return Lock({}, schema)


def written(queries: QueryClasses, verified: Mapping[str, Verified], schema: str) -> str:
    """Return the text of the lock file that records `verified`."""
    entries = {
        name: _signed(queries[name], asdict(found), schema) for name, found in verified.items()
    }
    content = {"migrations": schema, "queries": entries, "verifier": verifier_hash()}
    return json.dumps(content, indent=1, sort_keys=True) + "\n"


def _signed(query: QueryClass, found: Mapping[str, Any], schema: str) -> dict[str, Any]:
    """Return the entry for a verification of `query` with this result."""
    entry = {key: found.get(key) for key in ("parameters", "columns", "constraints")}
    entry["query"] = fingerprint(query)
    return entry | {"proof": digest([entry, schema, verifier_hash()])}


def _verified(entry: Mapping[str, Any]) -> Verified:
    columns = [c | {"nullable": Nullable(c["nullable"])} for c in entry["columns"]]
    return Verified(
        [VerifiedParameter(**parameter) for parameter in entry["parameters"]],
        [VerifiedColumn(**column) for column in columns],
        entry["constraints"],
    )


def digest(content: object) -> str:
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]


def fingerprint(query: QueryClass) -> str:
    """Return a hash of the statement, its parameters, its rows and the errors it may raise."""
    try:
        return digest(_identity(query))
    except (NameError, TypeError):  # Verification reports an annotation that cannot be read.
        return ""


def _identity(query: QueryClass) -> dict[str, object]:
    return {
        "sql": query.sql,
        "shape": [shape.__name__ for shape in SHAPES if issubclass(query, shape)],
        "parameters": _fields(query),
        "row": _fields(query.row) if is_row_class(query.row) else _annotation(query.row),
        "raises": sorted(query.raises),
        "unbreakable": sorted(query.unbreakable),
    }


@cache
def verifier_hash() -> str:
    """Return a hash of the verifier: the findings of another version are not trusted."""
    folder = files("platform_queries")
    sources = [folder / "annotations.py", folder / "rows.py"]
    sources += sorted(_modules(folder / "verify"), key=lambda file: file.name)
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

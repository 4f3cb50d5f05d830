"""The committed record of what was verified: `queries.lock.json`.

It names types, never oids, so that it is the same for every database. The proof of an entry covers
the query, the schema, the verifier and the entry itself: whichever changes, by whoever's hand, the
query is not verified any more.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import Any

from platform_infrastructure.postgres.query import Query
from platform_infrastructure.postgres.verification.fingerprint import (
    digest,
    fingerprint,
    migrations_hash,
    verifier_hash,
)
from platform_infrastructure.postgres.verification.verdict import Nullable
from platform_infrastructure.postgres.verification.verified import (
    Verified,
    VerifiedColumn,
    VerifiedParameter,
)

NAME = "queries.lock.json"
QueryClasses = Mapping[str, type[Query[Any]]]


@dataclass(frozen=True, slots=True)
class Lock:
    """`entries` are by the full names of the queries."""

    entries: Mapping[str, Mapping[str, Any]]

    def trusted(self, queries: QueryClasses) -> dict[str, Verified]:
        """Return what is known about those of `queries` that need not be verified again."""
        return {
            name: _verified(self.entries[name])
            for name, query in queries.items()
            if name in self.entries and self.entries[name] == _signed(query, self.entries[name])
        }

    def lacking(self, queries: QueryClasses) -> list[str]:
        """Return the names of those of `queries` that were never verified as they are now."""
        return [
            name
            for name, query in queries.items()
            if self.entries.get(name, {}).get("query") != fingerprint(query)
        ]


def packaged() -> Lock:
    """Return the lock that was installed with this package."""
    file = files("platform_infrastructure") / NAME
    return read(file.read_text(encoding="utf-8") if file.is_file() else "")


def read(text: str) -> Lock:
    """Return what `text` records; nothing where it is no lock, so that all is verified again."""
    try:
        entries = json.loads(text)["queries"]
        return Lock({name: dict(entry) for name, entry in entries.items()})
    except (ValueError, KeyError, TypeError, AttributeError):
        return Lock({})


def written(queries: QueryClasses, verified: Mapping[str, Verified]) -> str:
    """Return the text of the lock that records `verified`."""
    entries = {name: _signed(queries[name], asdict(found)) for name, found in verified.items()}
    content = {"migrations": migrations_hash(), "queries": entries, "verifier": verifier_hash()}
    return json.dumps(content, indent=1, sort_keys=True) + "\n"


def _signed(query: type[Query[Any]], found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entry that a verification of `query` with this result makes."""
    entry = {key: found.get(key) for key in ("parameters", "columns", "constraints")}
    entry["query"] = fingerprint(query)
    return entry | {"proof": digest([entry, migrations_hash(), verifier_hash()])}


def _verified(entry: Mapping[str, Any]) -> Verified:
    columns = [c | {"nullable": Nullable(c["nullable"])} for c in entry["columns"]]
    return Verified(
        [VerifiedParameter(**parameter) for parameter in entry["parameters"]],
        [VerifiedColumn(**column) for column in columns],
        entry["constraints"],
    )

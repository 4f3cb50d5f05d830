"""What was found under a fault, and whether it is what must hold."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    text: str
    holds: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One fault, and everything that was found under it."""

    fault: str
    findings: Sequence[Finding]

    @property
    def holds(self) -> bool:
        return all(finding.holds for finding in self.findings)


def within(what: str, seconds: float, bound: float) -> Finding:
    return Finding(f"{what} {seconds:.2f} s (at most {bound:g})", seconds <= bound)


def none(what: str, found: int, *, of: int | None = None) -> Finding:
    among = "" if of is None else f" of {of}"
    return Finding(f"{found}{among} {what}", found == 0)


def true(what: str, holds: bool) -> Finding:
    return Finding(what if holds else f"NOT: {what}", holds)


def as_text(row: Row) -> str:
    """Return the row as a line for its fault and one for each finding."""
    head = f"{'holds' if row.holds else 'FAILS'}: {row.fault}"
    found = (f"{'    ' if f.holds else '>>> '}{f.text}" for f in row.findings)
    return "\n".join([head, *found])

"""Whether a value can be NULL, and why."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Nullable(StrEnum):
    NEVER = "never"
    CAN = "can"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Verdict:
    nullable: Nullable
    reason: str

    @property
    def is_never(self) -> bool:
        return self.nullable is Nullable.NEVER


def never(reason: str) -> Verdict:
    return Verdict(Nullable.NEVER, reason)


def can(reason: str) -> Verdict:
    return Verdict(Nullable.CAN, reason)


def unknown(reason: str) -> Verdict:
    return Verdict(Nullable.UNKNOWN, reason)


def strictest(verdicts: Iterable[Verdict], reason: str) -> Verdict:
    """Of a value that is NULL when any of its inputs is; `reason` is for one that never is."""
    found = list(verdicts)
    for kind in (Nullable.CAN, Nullable.UNKNOWN):
        for verdict in found:
            if verdict.nullable is kind:
                return verdict
    return never(reason)


def mildest(verdicts: Iterable[Verdict], reason: str) -> Verdict:
    """Of a value that is NULL only when all of its inputs are, like COALESCE."""
    found = list(verdicts)
    if any(verdict.is_never for verdict in found):
        return never(reason)
    if all(verdict.nullable is Nullable.CAN for verdict in found):
        return can(f"{reason} of values that all can be NULL")
    return unknown(f"{reason} of values of which none is known to be NOT NULL")

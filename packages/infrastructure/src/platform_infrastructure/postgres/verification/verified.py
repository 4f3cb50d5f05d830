"""What verification finds: facts about a query, and problems."""

from dataclasses import dataclass, field
from typing import Any

from platform_infrastructure.postgres.query import Query
from platform_infrastructure.postgres.verification.verdict import Nullable

QueryClass = type[Query[Any]]


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, and at which character of `sql` if at one."""

    message: str
    offset: int | None = None


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
    """What was learned about a query. `constraints` are those that a caller can break."""

    parameters: list[VerifiedParameter] = field(default_factory=list)
    columns: list[VerifiedColumn] = field(default_factory=list)
    constraints: list[str] = field(default_factory=list)

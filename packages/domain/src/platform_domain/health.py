"""How the parts the server depends on are doing."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class Status(StrEnum):
    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Health:
    """One dependency as last seen. `latency` is in seconds; `problem` is for admins only."""

    status: Status
    since: datetime
    latency: float | None = None
    problem: str | None = None


class HealthCheck(Protocol):
    """Remembers how one dependency is. Reading it asks nobody and never blocks."""

    name: str

    def health(self) -> Health: ...

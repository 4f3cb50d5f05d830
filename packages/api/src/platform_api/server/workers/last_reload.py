"""The result of the last reload, which the parent sends to each worker for its /health."""

import json
from datetime import UTC, datetime

from platform_domain.health import Health, Status


def reload_line(problem: str) -> bytes:
    """Return the line for a worker's `LastReload`; no `problem` means that the reload succeeded."""
    return json.dumps([datetime.now(UTC).isoformat(), problem]).encode() + b"\n"


class LastReload:
    """A health check that is degraded after a failed reload until a reload succeeds."""

    name = "reload"

    def __init__(self) -> None:
        self._health = Health(Status.UP, since=datetime.now(UTC))

    def health(self) -> Health:
        return self._health

    def take(self, line: bytes) -> None:
        since, problem = json.loads(line)
        status = Status.DEGRADED if problem else Status.UP
        self._health = Health(status, datetime.fromisoformat(since), problem=problem or None)

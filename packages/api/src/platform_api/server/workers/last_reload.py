"""How the last reload went: what the parent sends to each worker, and the worker's /health shows."""

import json
from datetime import UTC, datetime

from platform_domain.health import Health, Status


def reload_line(problem: str) -> bytes:
    """Return what a worker's `LastReload` takes; no `problem` means that all workers are new."""
    return json.dumps([datetime.now(UTC).isoformat(), problem]).encode() + b"\n"


class LastReload:
    """A health check that is degraded from a reload that failed until one that succeeds."""

    name = "reload"

    def __init__(self) -> None:
        self._health = Health(Status.UP, since=datetime.now(UTC))

    def health(self) -> Health:
        return self._health

    def take(self, line: bytes) -> None:
        since, problem = json.loads(line)
        status = Status.DEGRADED if problem else Status.UP
        self._health = Health(status, datetime.fromisoformat(since), problem=problem or None)

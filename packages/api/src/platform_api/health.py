"""Whether the server lives, is ready, has started; and, for admins, what of it is ill.

Liveness never looks at a dependency: killing a server does not mend its database. Answers are
read from what the checks remember, so probes cost nothing and cannot hang.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Literal

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from platform_api.errors import MethodNotAllowed, NotReady, Unhealthy, error_response
from platform_api.router import has_encoded_slash
from platform_api.schema import Output
from platform_api.server.lifecycle import Lifecycle, Phase
from platform_domain.health import HealthCheck, Status


class Ok(Output):
    status: Literal["ok"] = "ok"


class Dependency(Output):
    name: str
    status: Status
    since: datetime
    latency_ms: float | None
    problem: str | None


class Report(Output):
    phase: Phase
    status: Status
    dependencies: list[Dependency]


class Readings:
    """The checks' memories and the server's phase, put together."""

    def __init__(self, lifecycle: Lifecycle, checks: Sequence[HealthCheck]) -> None:
        self._lifecycle = lifecycle
        self._checks = checks

    def live(self) -> Response:
        return _json(Ok())

    def started(self) -> Response:
        if self._lifecycle.phase is Phase.STARTING:
            return error_response(NotReady(phase=self._lifecycle.phase))
        return _json(Ok())

    def ready(self) -> Response:
        down = [check.name for check in self._checks if check.health().status is Status.DOWN]
        phase = self._lifecycle.phase
        if phase is not Phase.READY or down:
            return error_response(NotReady(phase=phase, down=down))
        return _json(Ok())

    def report(self) -> Response:
        """Answer 503 when a dependency is down, but not when one is degraded or at a stop."""
        dependencies = [_dependency(check) for check in self._checks]
        worst = max((d.status for d in dependencies), key=list(Status).index, default=Status.UP)
        report = Report(phase=self._lifecycle.phase, status=worst, dependencies=dependencies)
        if worst is Status.DOWN:
            return error_response(Unhealthy(**report.model_dump(mode="json")))
        return _json(report)


class Pages:
    """Answers its own few paths and hands everything else to `app`."""

    def __init__(self, app: ASGIApp, pages: Mapping[str, Callable[[], Response]]) -> None:
        self._app = app
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        page = self._pages.get(scope["path"]) if scope["type"] == "http" else None
        if page is None or has_encoded_slash(scope):
            await self._app(scope, receive, send)
        elif scope["method"] in ("GET", "HEAD"):
            await page()(scope, receive, send)
        else:
            await error_response(MethodNotAllowed(["GET", "HEAD"]))(scope, receive, send)


def public_pages(readings: Readings) -> dict[str, Callable[[], Response]]:
    return {
        "/health/live": readings.live,
        "/health/ready": readings.ready,
        "/health/startup": readings.started,
    }


def admin_pages(readings: Readings) -> dict[str, Callable[[], Response]]:
    return {**public_pages(readings), "/health": readings.report}


def all_checks(*checks: Sequence[HealthCheck]) -> list[HealthCheck]:
    """Return the checks of the dependencies and those of the background tasks as one list."""
    return list(chain(*checks))


def _dependency(check: HealthCheck) -> Dependency:
    health = check.health()
    return Dependency(
        name=check.name,
        status=health.status,
        since=health.since,
        latency_ms=None if health.latency is None else round(health.latency * 1000, 2),
        problem=health.problem,
    )


def _json(body: Output) -> Response:
    return Response(body.model_dump_json(), media_type="application/json")

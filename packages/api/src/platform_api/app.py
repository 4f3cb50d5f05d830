"""The public application: the layers every request passes, and the features behind them."""

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from platform_api.capacity import Capacity
from platform_api.contract.pages import contract_pages
from platform_api.docs_page.pages import docs_pages
from platform_api.errors import RouteNotFound, error_response
from platform_api.feature import Feature, operations_of
from platform_api.health import Pages, Readings, admin_pages, public_pages
from platform_api.idempotency import Once
from platform_api.middleware.admission import Admission
from platform_api.middleware.body_ceiling import BodyCeiling
from platform_api.middleware.cors import Cors
from platform_api.middleware.deadline import Deadline
from platform_api.middleware.error_boundary import ErrorBoundary
from platform_api.middleware.request_log import RequestLog
from platform_api.middleware.security_headers import SecurityHeaders
from platform_api.middleware.single_headers import SingleHeaders
from platform_api.middleware.trusted_host import TrustedHost
from platform_api.operation import Endpoint
from platform_api.router import Api
from platform_api.server.in_flight import InFlight
from platform_api.server.last_answers import LastAnswers
from platform_api.server.lifecycle import Lifecycle
from platform_config import Settings
from platform_domain.identity import Authenticator

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
ALL_INTERFACES = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound


def layers(
    settings: Settings, lifecycle: Lifecycle, readings: Readings, capacity: Capacity
) -> list[Middleware]:
    """Return what a request passes before its operation, outermost first."""
    http = settings.http
    return [
        Middleware(LastAnswers, lifecycle=lifecycle),
        Middleware(SecurityHeaders),
        # A probe comes with the pod's address, twice a second: no host check, no cap, no log line.
        Middleware(Pages, pages=public_pages(readings)),
        Middleware(RequestLog),
        # Outside what answers errors, so that a page of the SPA may read those as well.
        Middleware(Cors, settings=settings.cors),
        Middleware(InFlight, lifecycle=lifecycle),
        # Outside what holds a place: a client that sends on after its answer takes up none.
        Middleware(
            BodyCeiling,
            max_bytes=http.max_body_bytes,
            timeout=http.body_timeout,
            max_bodies=http.max_bodies,
            max_bodies_per_client=http.max_bodies_per_client,
        ),
        Middleware(Admission, capacity=capacity),
        Middleware(ErrorBoundary),
        Middleware(SingleHeaders),
        Middleware(TrustedHost, hosts=http.allowed_hosts),
        Middleware(Deadline, seconds=http.request_timeout),
    ]


def create_app(
    settings: Settings,
    lifecycle: Lifecycle,
    readings: Readings,
    capacity: Capacity,
    features: Sequence[Feature],
    authenticator: Authenticator,
    once: Once,
    realtime: ASGIApp,
    document: Mapping[str, Any],
) -> ASGIApp:
    """Build the public application, which publishes `document` as its contract.

    Raises `DeclarationInvalid` for a bad declaration.
    """
    endpoints = [Endpoint(operation, authenticator, once) for operation in operations_of(features)]
    docs = docs_pages() if settings.development else {}
    app: ASGIApp = Pages(Api(endpoints, realtime), {**contract_pages(document), **docs})
    for layer in reversed(layers(settings, lifecycle, readings, capacity)):
        app = layer.cls(app, *layer.args, **layer.kwargs)
    return app


def create_admin_app(settings: Settings, readings: Readings) -> ASGIApp:
    """Build the application of the admin port, which the public never reaches.

    It accepts the names of this machine, `ADMIN_HOST` and the names in `HTTP_ALLOWED_HOSTS`. If the
    port is open on all interfaces, it also accepts every IP address, because a probe uses the
    address of its pod.
    """
    host = settings.server.admin_host
    hosts = {*LOOPBACK_NAMES, host, *settings.http.allowed_hosts} - {"*"}
    pages = Pages(_nothing_here, admin_pages(readings))
    return SecurityHeaders(TrustedHost(pages, hosts=hosts, addresses=host in ALL_INTERFACES))


async def _nothing_here(scope: Scope, receive: Receive, send: Send) -> None:
    await error_response(RouteNotFound())(scope, receive, send)

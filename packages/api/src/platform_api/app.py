"""The public application: the layers every request passes, and the features behind them."""

from collections.abc import Sequence

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from platform_api.errors import RouteNotFound, ShuttingDown, error_body, error_response
from platform_api.feature import Feature
from platform_api.health import Pages, Readings, admin_pages, public_pages
from platform_api.middleware.body_limit import BodyLimit
from platform_api.middleware.cors import Cors
from platform_api.middleware.error_boundary import ErrorBoundary
from platform_api.middleware.request_log import RequestLog
from platform_api.operation import Endpoint
from platform_api.router import Api
from platform_api.server.in_flight import InFlight
from platform_api.server.lifecycle import Lifecycle
from platform_config import Settings
from platform_domain.identity import Authenticator


def layers(settings: Settings, lifecycle: Lifecycle, readings: Readings) -> list[Middleware]:
    """Return what a request passes before its operation, outermost first."""
    return [
        # A probe comes with the pod's address and twice a second: no host check, no log line.
        Middleware(Pages, pages=public_pages(readings)),
        Middleware(RequestLog),
        Middleware(InFlight, lifecycle=lifecycle, refusal=error_body(ShuttingDown())),
        # Outside the boundary, so that a page of the SPA may read a 500 as well.
        Middleware(Cors, origins=settings.cors.origins, credentials=settings.cors.credentials),
        Middleware(ErrorBoundary),
        Middleware(BodyLimit, max_bytes=settings.http.max_body_bytes),
    ]


def create_app(
    settings: Settings,
    lifecycle: Lifecycle,
    readings: Readings,
    features: Sequence[Feature],
    authenticator: Authenticator,
) -> ASGIApp:
    """Build the public application. Raises `OperationInvalid` for a bad declaration."""
    operations = [operation for feature in features for operation in feature.operations()]
    app: ASGIApp = Api([Endpoint(operation, authenticator) for operation in operations])
    for layer in reversed(layers(settings, lifecycle, readings)):
        app = layer.cls(app, *layer.args, **layer.kwargs)
    return app


def create_admin_app(readings: Readings) -> ASGIApp:
    """Build the application of the admin port, which the public never reaches."""
    return Pages(_nothing_here, admin_pages(readings))


async def _nothing_here(scope: Scope, receive: Receive, send: Send) -> None:
    await error_response(RouteNotFound())(scope, receive, send)

"""Which origins' pages may call: Starlette's middleware, answering refusals in our shape."""

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from platform_api.errors import CorsRefused, error_response
from platform_api.idempotency import REPLAYED
from platform_config import CorsSettings

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
RESPONSE_HEADERS = ("X-Request-ID", "Retry-After", "Location", "ETag", REPLAYED)


class Cors(CORSMiddleware):
    """Starlette's, with our list of methods and our error shape for refusals."""

    def __init__(self, app: ASGIApp, settings: CorsSettings) -> None:
        super().__init__(
            app,
            allow_origins=settings.origins,
            allow_methods=METHODS,
            allow_headers=settings.headers,
            allow_credentials=settings.credentials,
            expose_headers=RESPONSE_HEADERS,
        )
        self.allow_headers.append("")  # A list may have empty elements (RFC 9110, 5.6.1.2).

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if [name for name, _ in scope["headers"]].count(b"origin") > 1:
            await self.app(scope, receive, send)  # `SingleHeaders` refuses it.
        else:
            await super().__call__(scope, receive, send)

    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        if response.status_code < 400:
            return response
        refusal = error_response(CorsRefused())
        for name, value in response.headers.items():
            if name.startswith("access-control-") or name == "vary":
                refusal.headers[name] = value
        return refusal

"""The files of the page, read when somebody looks at it."""

from collections.abc import Callable, Mapping
from functools import partial
from importlib.resources import files

from starlette.responses import Response

FILES: Mapping[str, tuple[str, str]] = {
    "/docs": ("index.html", "text/html"),
    "/docs/start.js": ("start.js", "text/javascript"),
    "/docs/swagger-ui-bundle.js": ("swagger_ui/swagger-ui-bundle.js", "text/javascript"),
    "/docs/swagger-ui.css": ("swagger_ui/swagger-ui.css", "text/css"),
}
"""Path on the server, file in this package, media type."""

# The browser itself refuses whatever would reach another host or run inline.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def docs_pages() -> dict[str, Callable[[], Response]]:
    """Return what answers each path below `/docs`."""
    return {path: partial(_file, name, type_) for path, (name, type_) in FILES.items()}


def _file(name: str, media_type: str) -> Response:
    content = files(__package__).joinpath(name).read_bytes()
    return Response(content, headers={"content-security-policy": POLICY}, media_type=media_type)

"""Which web pages may call the server."""

import re
from collections.abc import Iterator
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from platform_config.problems import Violation
from platform_config.section import Section, listed

# An Origin header (RFC 6454, section 6.2): lower case, and never the scheme's usual port, so an
# origin written otherwise would match no request.
ORIGIN = re.compile(
    r"(?!http://[^/]*:80$|https://[^/]*:443$)"
    r"[a-z][a-z0-9+.-]*://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?"
)


SHAPE = (
    "origins as browsers send them, with commas between: scheme://host or scheme://host:port,"
    " lower case, no path, not the usual port of the scheme; or *"
)


def as_browsers_send_it(origin: str) -> str:
    if origin == "*" or ORIGIN.fullmatch(origin):
        return origin
    bare = origin.rstrip("/")
    raise ValueError(
        f"{SHAPE}. Write {bare} without the slash at the end" if ORIGIN.fullmatch(bare) else SHAPE
    )


# RFC 9110, 5.6.2.
FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def field_name(name: str) -> str:
    if not FIELD_NAME.fullmatch(name):
        raise ValueError("names of request headers with commas between; or *")
    return name


class CorsSettings(Section):
    """Which web pages may call the server from a browser (CORS)."""

    prefix = "CORS_"

    origins: Annotated[
        tuple[Annotated[str, AfterValidator(as_browsers_send_it)], ...], BeforeValidator(listed)
    ] = Field(
        (),
        description="Exact origins, separated by commas: scheme://host[:port] without a path. Also"
        " needed for WebSockets behind a proxy that replaces the Host header.",
        examples=["https://app.example.com,http://localhost:5173"],
    )
    headers: Annotated[
        tuple[Annotated[str, AfterValidator(field_name)], ...], BeforeValidator(listed)
    ] = Field(
        (
            "Authorization",
            "Content-Type",
            "Idempotency-Key",
            "X-Request-ID",
            "X-User-Id",
            "If-Match",
            "If-None-Match",
            "Traceparent",
            "Tracestate",
            "Baggage",
            "Sentry-Trace",
        ),
        description="Request headers that a page may send, separated by commas, or *. The list"
        " replaces the default, which has the headers that the API reads and those of tracing.",
    )
    credentials: bool = Field(False, description="Whether browsers may send cookies along.")

    def violations(self) -> Iterator[Violation]:
        # Browsers refuse the pair (Fetch standard, "CORS protocol and credentials").
        if self.credentials and "*" in self.origins:
            yield Violation(
                names=("CORS_ORIGINS", "CORS_CREDENTIALS"),
                expected="exact origins when browsers may send credentials",
                fix="name the origins instead of *, or set CORS_CREDENTIALS=false",
            )

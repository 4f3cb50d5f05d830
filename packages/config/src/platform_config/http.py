"""What HTTP requests may be like, and how many there may be."""

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from platform_config.section import Count, Section, Timeout, listed

# A name with a scheme, a port or a path would match no Host header: every request would be refused.
HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f.]*(?::[0-9A-Fa-f.]*){2,}|\*")


def a_bare_name(host: str) -> str:
    if not HOST.fullmatch(host):
        raise ValueError(
            "names with commas between, without scheme, port and path, IPv6 without brackets; or *"
        )
    return host


class HttpSettings(Section):
    """What HTTP requests may be like, and how many there may be."""

    prefix = "HTTP_"

    max_body_bytes: Count = Field(1_048_576, description="Largest request body in bytes.")
    body_timeout: Timeout = Field(30, description="Seconds for a whole request body to arrive.")
    max_bodies: Count = Field(
        200,
        description="Request bodies in transfer at once, in each process. Each may use"
        " HTTP_MAX_BODY_BYTES of memory. Above this number, the oldest is refused with a 503.",
    )
    max_bodies_per_client: Count = Field(
        50, description="The same for each client address, but the oldest is refused with a 429."
    )
    request_timeout: Timeout = Field(
        30, description="Seconds to work on one request before it gets a 504."
    )
    head_timeout: Timeout = Field(
        10, description="Seconds for a request line and its headers to arrive."
    )
    max_head_bytes: int = Field(
        16_384, ge=1024, le=1_048_576, description="Largest request line with headers in bytes."
    )
    max_head_fields: int = Field(
        100, ge=20, le=1000, description="Headers of one request at most. Browsers send about 20."
    )
    keep_alive_timeout: Timeout = Field(
        5,
        description="Seconds that a connection may idle between two requests. Behind a proxy: more"
        " than the proxy keeps an idle one.",
    )
    # Nothing longer could come true: TCP_USER_TIMEOUT ends the connection then.
    send_timeout: float = Field(
        10,
        ge=0.001,
        le=30,
        description="Seconds after which a client that reads nothing is disconnected.",
    )
    max_in_flight: Count = Field(
        100, description="Requests worked on at a time, in each process; more get a 503 at once."
    )
    allowed_hosts: Annotated[
        tuple[Annotated[str, AfterValidator(a_bare_name)], ...], BeforeValidator(listed)
    ] = Field(
        ("*",),
        description="Names in Host headers to answer to, with commas between, without ports; or *.",
        examples=["api.example.com,10.0.0.7"],
    )

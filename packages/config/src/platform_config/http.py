"""What HTTP requests may be like, and how many there may be."""

from typing import Annotated

from pydantic import BeforeValidator, Field, PositiveInt

from platform_config.section import Section, Timeout, listed


class HttpSettings(Section):
    """What HTTP requests may be like, and how many there may be."""

    prefix = "HTTP_"

    max_body_bytes: PositiveInt = Field(1_048_576, description="Largest request body in bytes.")
    body_timeout: Timeout = Field(30, description="Seconds for a whole request body to arrive.")
    request_timeout: Timeout = Field(
        30, description="Seconds to work on one request before it gets a 504."
    )
    max_in_flight: PositiveInt = Field(
        200, description="Requests worked on at a time, in each process; more get a 503 at once."
    )
    allowed_hosts: Annotated[tuple[str, ...], BeforeValidator(listed)] = Field(
        ("*",),
        description="Names in Host headers to answer to, with commas between, without ports; or *.",
        examples=["api.example.com,10.0.0.7"],
    )

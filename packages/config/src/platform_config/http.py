"""What HTTP requests may be like."""

from pydantic import Field, PositiveInt

from platform_config.section import Section


class HttpSettings(Section):
    """What HTTP requests may be like."""

    prefix = "HTTP_"

    max_body_bytes: PositiveInt = Field(
        1_048_576, description="Largest request body in bytes; an operation may set its own."
    )

"""Who finds out who is calling."""

from typing import Annotated

from pydantic import Field

from platform_config.section import REQUIRED_IN_PRODUCTION, Choice, Section


class AuthenticatorName(Choice):
    DEVELOPMENT = "development"
    ANONYMOUS = "anonymous"


class AuthSettings(Section):
    """Who finds out who is calling."""

    prefix = ""

    authenticator: Annotated[AuthenticatorName, REQUIRED_IN_PRODUCTION] = Field(
        AuthenticatorName.DEVELOPMENT,
        description="development (believes X-User-Id; never in production) or"
        " anonymous (everybody is one user).",
        examples=["anonymous"],
    )

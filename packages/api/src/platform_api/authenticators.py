"""Who is asking, for as long as no package fills the port for real."""

import re

from platform_domain.errors import Unauthenticated
from platform_domain.identity import Authenticator, Credentials, Identity, UserId

USER = re.compile(r"[\w.@-]{1,64}", re.ASCII)


class AnonymousAuthenticator(Authenticator):
    """Everybody is the one user `anonymous`."""

    async def authenticate(self, credentials: Credentials) -> Identity:
        return Identity(UserId("anonymous"))


class DevelopmentAuthenticator(Authenticator):
    """Believes whoever says who they are: `X-User-Id: alice`, or `?user=alice` for a browser's
    WebSocket, which cannot send headers."""

    parameters = ("user",)

    async def authenticate(self, credentials: Credentials) -> Identity:
        user = credentials.headers.get("x-user-id") or credentials.query.get("user", "")
        if not USER.fullmatch(user):
            raise Unauthenticated(
                "Say who you are: send the header X-User-Id with 1 to 64 letters, digits or ._@-"
            )
        return Identity(UserId(user))

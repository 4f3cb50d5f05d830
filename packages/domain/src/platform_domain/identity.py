"""Who is asking, and the port that finds out."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NewType, Protocol

UserId = NewType("UserId", str)


@dataclass(frozen=True, slots=True)
class Identity:
    """One caller, known for the length of one request or one socket."""

    user: UserId


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request or a WebSocket handshake brought along. Header names are lower case."""

    headers: Mapping[str, str]
    query: Mapping[str, str]


class Authenticator(Protocol):
    """Turns credentials into an identity. One port for HTTP and WebSocket."""

    parameters: Collection[str] = ()
    """The query parameters it reads; operations refuse any others that they do not declare."""

    async def authenticate(self, credentials: Credentials) -> Identity:
        """Return the caller, or raise `Unauthenticated` (or `Forbidden`)."""
        ...

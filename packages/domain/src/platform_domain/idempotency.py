"""Idempotency keys: a client may repeat a request, and it is done once.

After https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from platform_domain.errors import Conflict, InvalidInput
from platform_domain.identity import UserId

KEPT_FOR = timedelta(hours=24)
"""Longer than any client keeps trying; shorter would save little, for an answer is small."""


class IdempotencyKeyInUse(Conflict):
    code = "idempotency_key_in_use"
    message = "A request with this idempotency key is still being worked on. Try again in a moment."


class IdempotencyKeyReused(InvalidInput):
    code = "idempotency_key_reused"
    message = "This idempotency key was used for another request. Take a new one."


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """A request and its key, which counts for one caller and one operation.

    Two requests with equal fingerprints (32 bytes) ask for the same.
    """

    caller: UserId
    operation: str
    key: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """What the first request was told. `media_type` is None for an answer without a body."""

    status: int
    media_type: str | None
    body: bytes


class IdempotencyKeys(Protocol):
    """The keys of the last `KEPT_FOR`, each with its answer. Both methods need a unit of work."""

    async def claim(self, request: KeyedRequest) -> KeptAnswer | None:
        """Take the key until the unit of work ends; return the answer it has already.

        Never waits: raises `IdempotencyKeyInUse` while another unit of work has the key. Raises
        `IdempotencyKeyReused` when it has the answer to a request with another fingerprint.
        """
        ...

    async def keep(self, request: KeyedRequest, answer: KeptAnswer) -> None:
        """Keep the answer under a key that was claimed, if the unit of work succeeds."""
        ...

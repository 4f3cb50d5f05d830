"""Requests with an `Idempotency-Key`: done once, answered alike each time."""

from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Annotated

from pydantic import Field
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

from platform_api.schema import Parameters
from platform_domain.idempotency import KEPT_FOR, IdempotencyKeys, KeptAnswer, KeyedRequest
from platform_domain.identity import UserId
from platform_domain.unit_of_work import UnitOfWork

HEADER = "idempotency-key"
REPLAYED = "Idempotency-Replayed"


class IdempotencyHeader(Parameters):
    """`key` is compared as it came: one in quotation marks is another than one without."""

    key: Annotated[
        str | None,
        Field(
            alias=HEADER,
            min_length=1,
            max_length=200,
            pattern="^[!-~]+$",
            description="Any text of your own, such as a UUID, to repeat this request safely: it"
            " is done once, and repetitions get the first answer for"
            f" {KEPT_FOR.total_seconds() / 3600:.0f} hours. Errors are not kept.",
        ),
    ] = None

    @classmethod
    def of(cls, headers: Headers) -> "IdempotencyHeader":
        """Raises pydantic's `ValidationError`, for a header sent twice as well."""
        given = headers.getlist(HEADER)
        # A comma and a space join the values of a repeated field (RFC 9110, 5.3).
        return cls.model_validate({HEADER: ", ".join(given)} if given else {})


class Once:
    """Does the work of a keyed request unless it was done before."""

    def __init__(self, keys: IdempotencyKeys, unit_of_work: UnitOfWork) -> None:
        self._keys = keys
        self._unit_of_work = unit_of_work

    async def answer(
        self, request: KeyedRequest, work: Callable[[], Awaitable[Response]]
    ) -> Response:
        """Return what `work` answers, or what it answered the first time.

        Its changes and its answer are kept together or not at all, so a request that failed can
        be repeated. Raises `IdempotencyKeyInUse`, `IdempotencyKeyReused`, and what `work` raises.
        """

        async def once() -> Response:
            kept = await self._keys.claim(request)
            if kept is not None:
                return _replayed(kept)
            response = await work()
            await self._keys.keep(request, _kept(response))
            return response

        return await self._unit_of_work.run(once)


def keyed(
    request: Request, *, caller: UserId, operation: str, key: str, body: bytes
) -> KeyedRequest:
    """Describe a request that carries a key. `operation` is its method and route."""
    path, query = request.scope["path"].encode(), request.scope["query_string"]
    digest = sha256()
    for part in (operation.encode(), path, query, body):
        # With its length, so that no part can run over into the next.
        digest.update(len(part).to_bytes(8, "big") + part)
    return KeyedRequest(caller, operation, key, digest.digest())


def _kept(response: Response) -> KeptAnswer:
    return KeptAnswer(response.status_code, response.media_type, bytes(response.body))


def _replayed(kept: KeptAnswer) -> Response:
    return Response(kept.body, kept.status, {REPLAYED: "true"}, kept.media_type)

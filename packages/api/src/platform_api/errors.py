"""The one error shape, and the one table from kinds of error to HTTP statuses."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from loguru import logger
from pydantic import BaseModel
from pydantic_core import PydanticSerializationError
from starlette.responses import Response

from platform_domain.errors import (
    Conflict,
    DomainError,
    Forbidden,
    InvalidInput,
    NotFound,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
)


class ErrorBody(BaseModel):
    """What every answer that is neither 2xx nor 3xx looks like."""

    error: str
    """A sentence a user may read."""
    code: str
    """Stable, snake_case, for programs."""
    details: dict[str, Any] | None = None
    """Left out when there is nothing to say."""


class RouteNotFound(NotFound):
    code = "route_not_found"
    message = "There is nothing at this address."


class MethodNotAllowed(DomainError):
    code = "method_not_allowed"
    message = "This address does not take that method."

    def __init__(self, allowed: Sequence[str]) -> None:
        super().__init__(allowed=list(allowed))
        self.allowed = allowed


class HostNotAllowed(DomainError):
    code = "host_not_allowed"
    message = "This server does not answer to that name."


class HeaderRepeated(DomainError):
    """`details.header` names it in lower case."""

    code = "header_repeated"
    message = "A header that may come once came more than once."


class BodyTimeout(DomainError):
    code = "body_timeout"
    message = "The request's body took too long to arrive."


class PayloadTooLarge(DomainError):
    code = "payload_too_large"
    message = "The request's body is too large."


class TooManyBodies(TooManyRequests):
    code = "too_many_bodies"
    message = "Too many requests from your address are still sending their bodies. Try again later."


class UnsupportedMediaType(DomainError):
    code = "unsupported_media_type"
    message = "The request's body must be JSON: send Content-Type: application/json."


class ValidationFailed(InvalidInput):
    """`details.errors` holds `{path, message, code}` for each fault, never the value sent."""

    code = "validation_failed"
    message = "Some of the values sent are not valid."


class CorsRefused(DomainError):
    code = "cors_refused"
    message = "This origin may not do this."


class UpgradeRequired(DomainError):
    code = "upgrade_required"
    message = "This address speaks WebSocket only."


class Overloaded(Unavailable):
    code = "overloaded"
    message = "The server has too much to do right now. Try again in a moment."


class DeadlineExceeded(DomainError):
    code = "deadline_exceeded"
    message = "This took too long and was stopped. Look before you repeat a change."


class ShuttingDown(Unavailable):
    code = "shutting_down"
    message = "The server is restarting. Try again in a moment."


class NotReady(Unavailable):
    code = "not_ready"
    message = "The server is not ready."


class Unhealthy(Unavailable):
    """`details` holds the whole report of `/health`."""

    code = "unhealthy"
    message = "Something the server depends on is down."


class InternalError(DomainError):
    code = "internal_error"
    message = "Something went wrong on our side."


STATUS: Mapping[type[DomainError], HTTPStatus] = {
    CorsRefused: HTTPStatus.BAD_REQUEST,
    HeaderRepeated: HTTPStatus.BAD_REQUEST,
    HostNotAllowed: HTTPStatus.BAD_REQUEST,
    Unauthenticated: HTTPStatus.UNAUTHORIZED,
    Forbidden: HTTPStatus.FORBIDDEN,
    NotFound: HTTPStatus.NOT_FOUND,
    MethodNotAllowed: HTTPStatus.METHOD_NOT_ALLOWED,
    BodyTimeout: HTTPStatus.REQUEST_TIMEOUT,
    Conflict: HTTPStatus.CONFLICT,
    PayloadTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    UnsupportedMediaType: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    UpgradeRequired: HTTPStatus.UPGRADE_REQUIRED,
    InvalidInput: HTTPStatus.UNPROCESSABLE_ENTITY,
    TooManyRequests: HTTPStatus.TOO_MANY_REQUESTS,
    InternalError: HTTPStatus.INTERNAL_SERVER_ERROR,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    DeadlineExceeded: HTTPStatus.GATEWAY_TIMEOUT,
}


def status_of(kind: type[DomainError]) -> HTTPStatus:
    """Return the status of the nearest kind in the table; an unknown kind is our fault: 500."""
    return next(
        (STATUS[base] for base in kind.__mro__ if base in STATUS),
        HTTPStatus.INTERNAL_SERVER_ERROR,
    )


def error_body(error: DomainError) -> bytes:
    """Return `error` in the one shape; without its details where JSON cannot hold them."""
    body = ErrorBody(error=error.text, code=error.code, details=error.details or None)
    try:
        return body.model_dump_json(exclude_none=True, fallback=str).encode()
    except (PydanticSerializationError, UnicodeEncodeError):
        logger.error("The details of a {} cannot be written as JSON.", error.code)
        return (
            ErrorBody(error=type(error).message, code=error.code)
            .model_dump_json(exclude_none=True)
            .encode()
        )


def error_response(error: DomainError) -> Response:
    """Say `error` over HTTP."""
    return Response(
        error_body(error),
        status_of(type(error)),
        headers=_headers(error),
        media_type="application/json",
    )


def meaning_of(error: BaseException, request_id: str) -> DomainError:
    """Return what may be said of `error`. What is no `DomainError` is a bug: it is logged here,
    once, with its trace, and the caller hears of it only that it happened."""
    if isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        return meaning_of(error.exceptions[0], request_id)
    if isinstance(error, DomainError):
        return error
    logger.opt(exception=error).error(
        "Request failed", error=type(error).__name__, reason=str(error)
    )
    return InternalError(request_id=request_id)


def _headers(error: DomainError) -> dict[str, str]:
    match error:
        case MethodNotAllowed():
            return {"allow": ", ".join(error.allowed)}
        case UpgradeRequired():
            return {"upgrade": "websocket", "connection": "upgrade"}
        case Unavailable() | TooManyRequests():
            return {"retry-after": str(error.retry_after)}
        case Unauthenticated():
            # RFC 9110, 11.6.1: a 401 names a scheme; the package that fills the port has the real one.
            return {"www-authenticate": "Bearer"}
        case _:
            return {}

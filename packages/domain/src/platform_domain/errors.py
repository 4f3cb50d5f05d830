"""The failures a caller may be told about, by kind.

DomainError
├── InvalidInput          what was asked cannot be right
│   └── ReferenceInvalid  it refers to something that does not exist
├── Unauthenticated       nobody knows who is asking
├── Forbidden             it is known who asks, and they may not
├── NotFound
├── Conflict              it clashes with what is there
│   └── StillInUse        it cannot go while others refer to it
├── TooManyRequests
└── Unavailable           it would be right, but not now
    ├── Contended         others change the same thing at the same time
    └── OutcomeUnknown    it may or may not have happened

A kind says what happened; the border that answers (HTTP, WebSocket) decides how to say it.
Features subclass a kind, give it a `code` of their own and a sentence a user may read.
"""

from typing import ClassVar


class DomainError(Exception):
    """A failure that the caller may be told about.

    `code` is stable snake_case for programs, `message` a sentence for people, `details` what
    helps to mend it. None of them may hold SQL, names of constraints or another user's data.
    """

    code: ClassVar[str]
    message: ClassVar[str]

    def __init__(self, message: str | None = None, **details: object) -> None:
        self.text = message or self.message
        self.details = details
        super().__init__(self.text)


class InvalidInput(DomainError):
    code = "invalid_input"
    message = "The request is not valid."


class ReferenceInvalid(InvalidInput):
    code = "reference_invalid"
    message = "Something this refers to does not exist."


class Unauthenticated(DomainError):
    code = "unauthenticated"
    message = "Sign in to do this."


class Forbidden(DomainError):
    code = "forbidden"
    message = "You may not do this."


class NotFound(DomainError):
    code = "not_found"
    message = "There is no such thing here."


class Conflict(DomainError):
    code = "conflict"
    message = "This clashes with something that already exists."


class StillInUse(Conflict):
    code = "still_in_use"
    message = "This is still in use."


class TooManyRequests(DomainError):
    code = "too_many_requests"
    message = "Too many requests. Try again later."

    def __init__(
        self, message: str | None = None, *, retry_after: int = 1, **details: object
    ) -> None:
        """`retry_after` is in seconds."""
        super().__init__(message, **details)
        self.retry_after = retry_after


class Unavailable(DomainError):
    code = "unavailable"
    message = "The service cannot answer right now. Try again in a moment."

    def __init__(
        self, message: str | None = None, *, retry_after: int = 1, **details: object
    ) -> None:
        """`retry_after` is in seconds."""
        super().__init__(message, **details)
        self.retry_after = retry_after


class Contended(Unavailable):
    code = "contended"
    message = "Others are changing the same thing. Try again."


class OutcomeUnknown(Unavailable):
    code = "outcome_unknown"
    message = "The change may or may not have been saved. Look before you repeat it."

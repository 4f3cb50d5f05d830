"""Ids to follow a request by: W3C trace context (https://www.w3.org/TR/trace-context/)."""

import re
from dataclasses import dataclass
from random import getrandbits

TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")
REQUEST_ID = re.compile(r"[\w.-]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Ids:
    """`trace` is shared with whoever called us; `request` is what the caller quotes."""

    request: str
    trace: str

    @classmethod
    def of(cls, request_id: str | None, traceparent: str | None) -> "Ids":
        """Take the caller's ids where they are well-formed, else new ones."""
        # No secret: `secrets` would be a system call for each, a quarter of what a refusal takes.
        trace = _trace_id(traceparent) or f"{getrandbits(128):032x}"
        if request_id is None or not REQUEST_ID.fullmatch(request_id):
            request_id = trace
        return cls(request_id, trace)


def _trace_id(traceparent: str | None) -> str | None:
    match = TRACEPARENT.fullmatch(traceparent or "")
    if match is None or set(match[1]) == {"0"} or set(match[2]) == {"0"}:
        return None
    return match[1]

"""The cheapest way to say no: before anything of a request is parsed.

At twice the load that a server can bear, half of the requests are to be refused. On its way through
parser and middleware a refusal costs about as much as a good answer, and soon the server would do
nothing else. Source: "Using load shedding to avoid overload", Amazon Builders' Library.
"""

import re

from platform_api.capacity import Capacity
from platform_api.errors import Overloaded, error_response
from platform_api.middleware.security_headers import HEADERS
from platform_api.server.hardening.request_head import FIELD_LINES
from platform_api.server.lifecycle import Lifecycle, Phase
from platform_api.trace import Ids

_HEAD = re.compile(
    rb"(?:GET|POST|PUT|PATCH|DELETE) /(?!health/)[!\"$-~]*+ HTTP/1\.1\r\n" + FIELD_LINES
)
_FIELD = re.compile(
    r"\n(connection|content-length|expect|host|origin|traceparent|transfer-encoding|upgrade"
    r"|x-request-id):([^\r]*)",
    re.ASCII | re.IGNORECASE,
)
_SPECIAL = {"expect", "origin", "transfer-encoding", "upgrade"}
_LENGTH = re.compile(r"[0-9]{1,9}", re.ASCII)


class LoadShedding:
    """Answers an ordinary request for which there is no room.

    Ordinary is one that came whole and in one piece, with nothing special about it. Every other is
    left to the parser and to `Admission`: one whose page must be able to read the answer (Origin),
    one that ends its connection or makes it another, and whatever another reader could take for
    more or less than one request.
    """

    def __init__(self, capacity: Capacity, lifecycle: Lifecycle) -> None:
        self._capacity = capacity
        self._lifecycle = lifecycle
        self._refusal = _refusal()

    def __call__(self, received: bytes) -> bytes | None:
        """Return the whole answer to the bytes of a request, or None to let them pass."""
        if self._lifecycle.phase is not Phase.READY or self._capacity.will_have_room():
            return None
        fields = _fields_of_ordinary(received)
        if fields is None:
            return None
        self._capacity.refuse()
        ids = Ids.of(fields.get("x-request-id"), fields.get("traceparent"))
        return self._refusal.replace(b"{id}", ids.request.encode(), 1)


def _fields_of_ordinary(received: bytes) -> dict[str, str] | None:
    """Return the fields that matter here, or None for a request that is not ordinary."""
    head = _HEAD.match(received)
    if head is None:
        return None
    found = _FIELD.findall(head[0].decode("latin-1"))
    fields = {name.lower(): value.strip("\t ") for name, value in found}
    if len(fields) < len(found) or "host" not in fields or not _SPECIAL.isdisjoint(fields):
        return None
    length = fields.get("content-length", "0")
    is_whole = _LENGTH.fullmatch(length) and len(received) == head.end() + int(length)
    is_kept = fields.get("connection", "keep-alive").lower() == "keep-alive"
    return fields if is_whole and is_kept else None


def _refusal() -> bytes:
    response = error_response(Overloaded())
    fields = [*response.raw_headers, *HEADERS.items(), (b"x-request-id", b"{id}")]
    lines = [b"HTTP/1.1 %d " % response.status_code, *(b"%s: %s" % field for field in fields)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + bytes(response.body)

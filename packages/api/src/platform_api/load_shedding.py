"""The cheapest way to say no: before anything of a request is parsed.

At twice the load that a server can bear, half of the requests are to be refused. On its way through
parser and middleware a refusal costs about as much as a good answer, and soon the server would do
nothing else. Source: "Using load shedding to avoid overload", Amazon Builders' Library.
"""

import re

from platform_api.capacity import Capacity
from platform_api.errors import Overloaded, error_response
from platform_api.middleware.security_headers import HEADERS
from platform_api.server.lifecycle import Lifecycle, Phase
from platform_api.trace import Ids

_HEAD = re.compile(
    rb"(?:GET|POST|PUT|PATCH|DELETE) /(?!health/)[!-~]* HTTP/1\.1\r\n"
    rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*\r\n)*\r\n"
)
_SPECIAL = re.compile(
    rb"\n(?:connection:(?! ?keep-alive\r)|content-length:(?! ?[0-9]{1,9}\r)"
    rb"|expect:|origin:|transfer-encoding:|upgrade:)",
    re.IGNORECASE,
)
_HOST = re.compile(rb"\nhost:", re.IGNORECASE)
_LENGTH = re.compile(rb"\ncontent-length: ?([0-9]+)", re.IGNORECASE)
_IDS = re.compile(rb"\n(x-request-id|traceparent):[\t ]*([!-~]+)[\t ]*\r", re.IGNORECASE)


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
        head = _head_of_ordinary(received)
        if head is None:
            return None
        self._capacity.refuse()
        return self._refusal.replace(b"{id}", _request_id(head), 1)


def _head_of_ordinary(received: bytes) -> bytes | None:
    found = _HEAD.match(received)
    if found is None or _SPECIAL.search(head := found[0]) or len(_HOST.findall(head)) != 1:
        return None
    lengths = _LENGTH.findall(head)
    is_whole = len(lengths) < 2 and len(received) == len(head) + sum(map(int, lengths))
    return head if is_whole else None


def _request_id(head: bytes) -> bytes:
    given = {name.lower(): value.decode("ascii") for name, value in _IDS.findall(head)}
    return Ids.of(given.get(b"x-request-id"), given.get(b"traceparent")).request.encode()


def _refusal() -> bytes:
    response = error_response(Overloaded())
    fields = [*response.raw_headers, *HEADERS.items(), (b"x-request-id", b"{id}")]
    lines = [b"HTTP/1.1 %d " % response.status_code, *(b"%s: %s" % field for field in fields)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + bytes(response.body)

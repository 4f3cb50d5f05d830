"""HTTP/1.1 as RFC 9112 has it, where h11 is more forgiving than a server in public may be."""

import re
from typing import Any

import h11
from h11 import LocalProtocolError
from h11._receivebuffer import ReceiveBuffer
from hypercorn.protocol.h11 import H11Protocol

from platform_api.server.hardening.limits import HardenedConfig
from platform_api.server.hardening.request_head import checked

# h11's own lets any byte but LF into an extension (RFC 9112, 7.1.1).
STRICT_CHUNK_HEADER = re.compile(
    rb"(?P<chunk_size>[0-9A-Fa-f]{1,20})(?P<chunk_ext>;[\t\x20-\x7e\x80-\xff]*)?[ \t]*\r\n"
)
BLANK_LINES = re.compile(rb"(?:\r\n)+")
END_OF_HEAD = re.compile(rb"\n\r?\n")
FOLD = re.compile(rb"\n[\t ]")


class StrictConnection(h11.Connection):
    """h11's parser, stricter about heads and deaf after the last request.

    Sizes and lines are judged before anything is parsed.
    """

    def __init__(self, *, max_bytes: int, max_fields: int) -> None:
        super().__init__(h11.SERVER, max_incomplete_event_size=max_bytes)
        self._max_bytes = max_bytes
        self._max_fields = max_fields

    @property
    def they_are_waiting_for_100_continue(self) -> bool:
        """Always say no: Hypercorn would send the 100 at once, see `InvitedBody`."""
        return False

    @property
    def has_begun_a_head(self) -> bool:
        return self.their_state is h11.IDLE and bool(self._receive_buffer)

    @property
    def is_between_requests(self) -> bool:
        idle = self.their_state is h11.IDLE and self.our_state is h11.IDLE
        return idle and not self._receive_buffer

    def discard(self) -> None:
        """Forget what has come and was not parsed."""
        self._receive_buffer = ReceiveBuffer()

    def _extract_next_receive_event(self) -> Any:
        if self.their_state is h11.MUST_CLOSE:
            # A client that said `connection: close` has nothing more to say (RFC 9112, 9.6).
            self.discard()
        if self.their_state is not h11.IDLE:
            return super()._extract_next_receive_event()
        if self._is_only_blank():
            return h11.NEED_DATA if self._receive_buffer else super()._extract_next_receive_event()
        self._check_head()
        event = super()._extract_next_receive_event()
        return checked(event) if isinstance(event, h11.Request) else event

    def _is_only_blank(self) -> bool:
        """Take empty lines before a request away (RFC 9112, 2.2); say whether nothing is left."""
        if blank := BLANK_LINES.match(self._receive_buffer._data):
            self._receive_buffer.maybe_extract_at_most(blank.end())
        return bytes(self._receive_buffer._data[:2]) in (b"", b"\r")

    def _check_head(self) -> None:
        data = self._receive_buffer._data
        end = END_OF_HEAD.search(data, 0, self._max_bytes)
        if end is None and len(data) <= self._max_bytes:
            return
        if end is None or data.count(b"\n", 0, end.end()) - 2 > self._max_fields:
            raise LocalProtocolError("The head is too large.", error_status_hint=431)
        if FOLD.search(data, 0, end.end()):  # Who reads line by line sees other fields than h11.
            raise LocalProtocolError("A field is folded (RFC 9112, 5.2).")


class StrictHttp(H11Protocol):
    """Parses with `StrictConnection`.

    Removes: both lengths accepted, and the connection kept, so that a proxy and this server may
    see different requests; an invalid Host, `get` and HTTP/9.9 accepted; the limit of a head not
    looked at when it came in one piece, none for the number of fields; folded fields accepted; the
    target of a proxy request taken for a path; an empty line before a request refused; a 200 turned
    into 400 by bytes after a request with `connection: close`.
    """

    config: HardenedConfig

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        limits = self.config.limits
        self.connection = StrictConnection(
            max_bytes=limits.head_bytes, max_fields=limits.head_fields
        )

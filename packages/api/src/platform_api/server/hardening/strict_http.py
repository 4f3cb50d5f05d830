"""HTTP/1.1 as RFC 9112 has it, where h11 is more forgiving than a server in public may be."""

import asyncio
import re
from typing import Any

import h11
from h11 import LocalProtocolError
from h11._readers import ChunkedReader
from h11._receivebuffer import ReceiveBuffer
from hypercorn.events import Event, RawData
from hypercorn.protocol.h11 import H11Protocol

from platform_api.server.hardening.limits import HardenedConfig
from platform_api.server.hardening.request_head import FIELD_LINES, checked

# h11's own pattern takes quadratic time for blanks before a NUL.
LINEAR_FIELD = re.compile(
    rb"(?P<field_name>[-!#$%&'*+.^_`|~0-9a-zA-Z]++):[ \t]*+"
    rb"(?P<field_value>(?:[^\x00\s]++(?:[ \t]++[^\x00\s]++)*+)?+)[ \t]*+"
)
BLANK_LINES = re.compile(rb"(?:\r\n)++")
END_OF_HEAD = re.compile(rb"\n\r?\n")
FOLD = re.compile(rb"\n[\t ]")
TRAILERS = re.compile(FIELD_LINES)
# h11's own pattern allows extensions of any length with any bytes but LF (RFC 9112, 7.1.1).
_SIZE = rb"([0-9A-Fa-f]{1,20})[ \t]{0,64}+(?:;[\t -~\x80-\xff]{0,1024}+)?+\r\n"
FIRST_CHUNK = re.compile(_SIZE)
NEXT_CHUNK = re.compile(rb"\r\n" + _SIZE)
LONGEST_SIZE = 1200  # Bytes; slightly more than the longest match.
CHUNKS_A_TURN = 512  # A chunk takes about a microsecond.


class StrictChunkedReader(ChunkedReader):
    """Joins up to `CHUNKS_A_TURN` received chunks into one piece of data and drops the trailers.

    `has_more` says whether there may be more received chunks.

    Removes: 40 microseconds for each chunk, although a chunk may have only one byte;
    trailers that end with a bare LF or are folded accepted; a size of any length accepted.
    """

    def __init__(self, max_bytes: int) -> None:
        """`max_bytes` limits the size of the trailers."""
        self._max_bytes = max_bytes
        self._size = FIRST_CHUNK
        self._left = 0
        self._has_ended = False
        self.has_more = False

    def __call__(self, buffer: ReceiveBuffer) -> h11.Data | h11.EndOfMessage | None:
        pieces: list[bytearray] = []
        self.has_more = False
        if not self._has_ended:
            buffer.maybe_extract_at_most(self._read(buffer._data, pieces))
        if pieces:
            return h11.Data(data=b"".join(pieces))
        return self._end(buffer) if self._has_ended else None

    def _read(self, data: bytearray, pieces: list[bytearray]) -> int:
        """Add the received data to `pieces`; return how many bytes were read."""
        at = 0
        for _ in range(CHUNKS_A_TURN):
            if piece := data[at : at + self._left]:
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
            size = None if self._left else self._size.match(data, at)
            if size is None:
                self._check_incomplete(data, at)
                return at
            self._size = NEXT_CHUNK
            self._left = int(size[1], 16)
            at = size.end()
            if self._left == 0:
                self._has_ended = True
                return at - 1  # Keep its LF: the end is an empty line or trailers.
        self.has_more = True
        return at

    def _check_incomplete(self, data: bytearray, at: int) -> None:
        begin = at if self._size is FIRST_CHUNK else at + len(b"\r\n")
        if data.find(b"\n", begin) >= 0 or len(data) - at > LONGEST_SIZE:
            raise LocalProtocolError("The size of a chunk is invalid.")

    def _end(self, buffer: ReceiveBuffer) -> h11.EndOfMessage | None:
        end = END_OF_HEAD.search(buffer._data, 0, self._max_bytes)
        if end is None:
            return None  # h11 waits for more data, or refuses trailers that are too long.
        if not TRAILERS.fullmatch(buffer._data, 1, end.end()):
            raise LocalProtocolError("The trailers are invalid.")
        buffer.maybe_extract_at_most(end.end())
        return h11.EndOfMessage()


class StrictConnection(h11.Connection):
    """h11's parser, which is stricter about heads and ignores data after the last request.

    Sizes and lines are checked before anything is parsed. `turn_is_over` is set after many chunks;
    until it is reset, there are no events.
    """

    turn_is_over = False

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

    def next_event(self) -> Any:
        if self.turn_is_over:
            return h11.NEED_DATA
        event = super().next_event()
        self.turn_is_over = isinstance(self._reader, StrictChunkedReader) and self._reader.has_more
        return event

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

    def _get_io_object(self, *args: Any) -> Any:
        found = super()._get_io_object(*args)
        return StrictChunkedReader(self._max_bytes) if isinstance(found, ChunkedReader) else found

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
    target of a proxy request taken for a path; a fragment taken for a part of it; quadratic time
    for a field of blanks; an empty line before a request refused; a 200 turned into 400 by bytes
    after a request with `connection: close`.
    """

    config: HardenedConfig

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        limits = self.config.limits
        self.connection = StrictConnection(
            max_bytes=limits.head_bytes, max_fields=limits.head_fields
        )

    async def handle(self, event: Event) -> None:
        await super().handle(event)
        if isinstance(event, RawData):
            await self._go_on()

    async def _go_on(self) -> None:
        """Let other tasks run before more of a body is read: reading buffered data never waits."""
        parser = self.connection
        while isinstance(parser, StrictConnection) and parser.their_state is h11.SEND_BODY:
            await asyncio.sleep(0)
            if not parser.turn_is_over:
                return
            parser.turn_is_over = False
            await self._handle_events()

from collections.abc import Iterator
from typing import Any

import h11
import pytest

from platform_api.server.hardening.strict_http import CHUNKS_A_TURN, StrictConnection

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
BODY = b'3;a="b"\r\nabc\r\n0a \r\n0123456789\r\n1\r\n\n\r\n0\r\nX: y\r\nZ:\r\n\r\n'


def events(*pieces: bytes) -> Iterator[Any]:
    """Yield what the parser finds when these pieces come, in one turn after another."""
    parser = StrictConnection(max_bytes=16_384, max_fields=100)
    for piece in pieces:
        parser.receive_data(piece)
        parser.turn_is_over = True
        while parser.turn_is_over:
            parser.turn_is_over = False
            while (event := parser.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
                yield event


def data_of(found: list[Any]) -> bytes:
    return b"".join(event.data for event in found if isinstance(event, h11.Data))


@pytest.mark.parametrize("at", range(1, len(BODY)))
def test_chunks_are_the_same_in_whatever_pieces_they_come(at: int) -> None:
    found = list(events(HEAD, BODY[:at], BODY[at:]))

    assert data_of(found) == b"abc0123456789\n"
    assert isinstance(found[-1], h11.EndOfMessage)


def test_chunks_may_come_byte_by_byte() -> None:
    found = list(events(HEAD, *(BODY[at : at + 1] for at in range(len(BODY)))))

    assert data_of(found) == b"abc0123456789\n"
    assert isinstance(found[-1], h11.EndOfMessage)


def test_many_chunks_become_few_pieces() -> None:
    chunks = 10 * CHUNKS_A_TURN

    found = list(events(HEAD + b"1\r\nx\r\n" * chunks + b"0\r\n\r\n"))

    assert data_of(found) == b"x" * chunks
    assert len(found) == 13, "the head, ten pieces and what is left of them, the end"


def test_a_parser_waits_for_its_next_turn_after_many_chunks() -> None:
    parser = StrictConnection(max_bytes=16_384, max_fields=100)
    parser.receive_data(HEAD + b"1\r\nx\r\n" * (CHUNKS_A_TURN + 1))

    assert isinstance(parser.next_event(), h11.Request)
    assert isinstance(parser.next_event(), h11.Data)
    assert parser.next_event() is h11.NEED_DATA
    parser.turn_is_over = False
    assert isinstance(parser.next_event(), h11.Data)


@pytest.mark.parametrize("size", [b"0" * 21, b"1;" + b"a" * 1025, b"1" + b" " * 65, b" 1", b""])
def test_the_size_of_a_chunk_is_bounded(size: bytes) -> None:
    with pytest.raises(h11.RemoteProtocolError):
        list(events(HEAD, size + b"\r\n"))
    with pytest.raises(h11.RemoteProtocolError):
        list(events(HEAD, b"1\r\nx\r\n" + size + b"\r\n"))

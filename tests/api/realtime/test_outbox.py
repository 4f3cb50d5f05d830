import pytest
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.uri import parse_uri

from platform_api.realtime.outbox import Outbox, OutboxFull, Text
from platform_api.realtime.topic import SlowPolicy


def said(text: str) -> Text:
    return Text(text.encode())


def test_messages_come_out_in_the_order_they_went_in() -> None:
    outbox = Outbox()
    for text in ("a", "b", "c"):
        outbox.put(said(text))

    assert read(outbox) == ["a", "b", "c"]


def test_nothing_can_be_taken_where_nothing_waits() -> None:
    assert Outbox().take() is None


def test_too_many_messages_do_not_fit() -> None:
    outbox = Outbox(max_messages=2)
    outbox.put(said("a"))
    outbox.put(said("b"))

    with pytest.raises(OutboxFull):
        outbox.put(said("c"))


def test_too_many_bytes_do_not_fit_until_some_were_read() -> None:
    outbox = Outbox(max_bytes=4)
    outbox.put(said("aaa"))
    with pytest.raises(OutboxFull):
        outbox.put(said("bb"))

    outbox.take()

    outbox.put(said("bbbb"))


def test_bytes_count_as_they_go_over_the_wire() -> None:
    with pytest.raises(OutboxFull):
        Outbox(max_bytes=3).put(said("éé"))


def test_a_closed_outbox_gives_what_it_has_and_takes_no_more() -> None:
    outbox = Outbox()
    outbox.put(said("a"))
    outbox.close(discard=False)
    outbox.put(said("b"))

    assert read(outbox) == ["a"]


def test_a_closed_outbox_may_discard_what_it_has() -> None:
    outbox = Outbox()
    outbox.put(said("a"))
    outbox.close(discard=True)

    assert outbox.take() is None


def event(topic: str, text: str) -> Text:
    return Text(text.encode(), topic)


def read(outbox: Outbox) -> list[str]:
    outbox.close(discard=False)
    found = []
    while (text := outbox.take()) is not None:
        found.append(text.json)
    return found


def test_drop_oldest_leaves_out_the_oldest_of_its_topic_and_says_how_many() -> None:
    outbox = Outbox(max_messages=3)
    for text in ("a", "b", "c"):
        outbox.put(event("t", text), SlowPolicy.DROP_OLDEST)

    assert outbox.put(event("t", "d"), SlowPolicy.DROP_OLDEST) == 1
    assert outbox.put(event("t", "e"), SlowPolicy.DROP_OLDEST) == 1

    assert read(outbox) == ['{"type":"dropped","topic":"t","count":2}', "c", "d", "e"]


@pytest.mark.parametrize("slow", [SlowPolicy.DROP_OLDEST, SlowPolicy.LATEST_ONLY])
def test_what_was_left_out_takes_up_no_bytes(slow: SlowPolicy) -> None:
    outbox = Outbox(max_bytes=5)
    for _ in range(10):
        outbox.put(event("t", "aaa"), slow)

    outbox.put(said("bb"))

    assert read(outbox) == ['{"type":"dropped","topic":"t","count":9}', "aaa", "bb"]


def test_drop_oldest_never_leaves_out_what_is_of_another_topic() -> None:
    outbox = Outbox(max_messages=2)
    outbox.put(said("reply"))
    outbox.put(event("other", "x"))

    with pytest.raises(OutboxFull):
        outbox.put(event("t", "a"), SlowPolicy.DROP_OLDEST)


def test_latest_only_keeps_one_waiting_event_of_its_topic() -> None:
    outbox = Outbox()
    outbox.put(event("other", "x"))
    dropped = [outbox.put(event("t", text), SlowPolicy.LATEST_ONLY) for text in ("a", "b", "c")]

    assert dropped == [0, 1, 1]
    assert read(outbox) == ["x", '{"type":"dropped","topic":"t","count":2}', "c"]


@pytest.mark.parametrize("length", [0, 125, 126, 65_535, 65_536])
def test_a_frame_is_what_a_client_reads(length: int) -> None:
    text = "x" * length
    client = ClientProtocol(parse_uri("ws://localhost/"), state=OPEN)

    client.receive_data(said(text).frame)

    (frame,) = client.events_received()
    assert isinstance(frame, Frame)
    assert (frame.opcode, frame.fin, frame.data) == (Opcode.TEXT, True, text.encode())

import asyncio
from contextlib import suppress

import pytest
from loguru import logger
from starlette.types import Message

from platform_api.realtime import session as session_module
from platform_api.realtime.close_codes import CloseCode
from platform_api.realtime.messages import Pong
from platform_api.realtime.outbox import MAX_MESSAGES, Text
from platform_api.realtime.session import INBOX_MESSAGES, Handle, Incoming, Session
from platform_api.realtime.topic import SlowPolicy
from tests.api.realtime.peers import Peer, session_of

pytestmark = pytest.mark.anyio


async def echo(session: Session, incoming: Incoming) -> None:
    session.tell(Pong(id=str(incoming)))


def ignore(session: Session, incoming: Incoming) -> None: ...


def tasks() -> set[str]:
    return {task.get_name() for task in asyncio.all_tasks() if "socket" in task.get_name()}


async def test_a_message_is_handled_and_the_answer_written() -> None:
    peer = Peer()
    session = session_of(peer)
    running = asyncio.create_task(session.run(echo, ignore))

    peer.says("1")
    while not peer.heard:  # noqa: ASYNC110
        await asyncio.sleep(0)
    peer.leaves()
    await running

    assert [message["id"] for message in peer.heard] == ["1"]
    assert session.close_code == 1001
    assert not tasks()


async def test_a_close_is_written_after_what_waits() -> None:
    peer = Peer()
    session = session_of(peer)
    session.tell(Pong(id="last"))
    session.close(CloseCode.SERVICE_RESTART)

    await session.run(echo, ignore)

    assert [message["id"] for message in peer.heard] == ["last"]
    assert peer.close_code == CloseCode.SERVICE_RESTART


async def test_the_first_reason_to_close_counts() -> None:
    peer = Peer()
    session = session_of(peer)
    session.close(CloseCode.SERVICE_RESTART)
    session.close(CloseCode.INTERNAL_ERROR)

    await session.run(echo, ignore)

    assert peer.close_code == CloseCode.SERVICE_RESTART


async def test_our_reason_to_close_counts_more_than_the_peers_answer() -> None:
    peer = Peer()
    session = session_of(peer)
    session.close(CloseCode.SERVICE_RESTART)
    peer.leaves(1005)

    await session.run(echo, ignore)

    assert session.close_code == CloseCode.SERVICE_RESTART


async def test_a_peer_that_reads_too_slowly_is_closed_and_the_rest_discarded() -> None:
    peer = Peer()
    peer.reads.clear()
    session = session_of(peer)
    running = asyncio.create_task(session.run(echo, ignore))
    await asyncio.sleep(0)
    for number in range(MAX_MESSAGES + 2):
        session.tell(Pong(id=str(number)))
        await asyncio.sleep(0)

    peer.reads.set()
    await running

    assert peer.close_code == CloseCode.SLOW_CONSUMER
    assert len(peer.heard) < MAX_MESSAGES


class Stuck(Peer):
    """Takes no message, but what tells it why it is closed."""

    async def send(self, message: Message) -> None:
        if message["type"] == "websocket.send":
            await asyncio.Event().wait()
        await super().send(message)


async def test_a_peer_that_takes_nothing_is_still_told_why_it_is_closed() -> None:
    peer = Stuck()
    session = session_of(peer)
    running = asyncio.create_task(session.run(echo, ignore))
    await asyncio.sleep(0)

    for number in range(MAX_MESSAGES + 2):
        session.tell(Pong(id=str(number)))
        await asyncio.sleep(0)
    await running

    assert peer.close_code == CloseCode.SLOW_CONSUMER
    assert not tasks()


async def test_a_peer_that_takes_nothing_is_told_that_the_server_restarts() -> None:
    peer = Stuck()
    session = session_of(peer)
    running = asyncio.create_task(session.run(echo, ignore))
    await asyncio.sleep(0)
    session.tell(Pong())
    await asyncio.sleep(0)

    session.close(CloseCode.SERVICE_RESTART)
    await running

    assert peer.close_code == CloseCode.SERVICE_RESTART


async def test_what_is_left_out_is_told_to_the_peer_and_counted_in_the_log() -> None:
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(message.record["message"]), level="INFO")
    peer = Peer()
    peer.reads.clear()
    session = session_of(peer)
    running = asyncio.create_task(session.run(echo, ignore))
    await asyncio.sleep(0)

    for _ in range(MAX_MESSAGES + 7):
        session.tell_text(Text(b'{"type": "event"}', "cursors"), SlowPolicy.DROP_OLDEST)
    peer.reads.set()
    session.close(CloseCode.NORMAL)
    await running

    logger.remove(sink)
    told = [message["count"] for message in peer.heard if message["type"] == "dropped"]
    assert told == [7]
    assert lines == ["A socket read too slowly for 7 events."]


async def test_an_idle_session_has_no_task_of_its_own() -> None:
    peer = Peer()
    running = asyncio.create_task(session_of(peer).run(echo, ignore))
    peer.says("1")
    while not peer.heard:  # noqa: ASYNC110
        await asyncio.sleep(0)

    await asyncio.sleep(0)
    assert not tasks()

    peer.leaves()
    await running


async def test_a_write_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "SEND_SECONDS", 0.01)
    monkeypatch.setattr(session_module, "GOODBYE_SECONDS", 0.01)
    peer = Peer()
    peer.reads.clear()
    session = session_of(peer)
    session.tell(Pong())

    await asyncio.wait_for(session.run(echo, ignore), 5)

    assert session.close_code == CloseCode.SLOW_CONSUMER
    assert not tasks()


async def test_a_handler_that_takes_long_does_not_hide_that_the_peer_left() -> None:
    peer = Peer()
    handling = asyncio.Event()

    async def forever(session: Session, incoming: Incoming) -> None:
        handling.set()
        await asyncio.Event().wait()

    running = asyncio.create_task(session_of(peer).run(forever, ignore))
    peer.says("1")
    await handling.wait()
    peer.leaves()

    await asyncio.wait_for(running, 5)
    assert not tasks()


async def test_messages_that_come_too_fast_are_refused_one_by_one() -> None:
    peer = Peer()
    refused: list[Incoming] = []

    def note(session: Session, incoming: Incoming) -> None:
        refused.append(incoming)

    async def forever(session: Session, incoming: Incoming) -> None:
        await asyncio.Event().wait()

    running = asyncio.create_task(session_of(peer).run(forever, note))
    await asyncio.sleep(0)
    for number in range(INBOX_MESSAGES + 4):
        peer.says(f"{number}")
    await asyncio.sleep(0.05)
    peer.leaves()
    await running

    newest = [f"{INBOX_MESSAGES + number}" for number in range(4)]
    assert refused in (newest, newest[1:]), "one may be in the handler's hands already"


async def test_a_bug_in_the_machinery_ends_the_session_and_is_raised() -> None:
    peer = Peer()

    async def bug(session: Session, incoming: Incoming) -> None:
        raise ValueError("bug")

    running = asyncio.create_task(session_of(peer).run(bug, ignore))
    peer.says("1")

    with pytest.raises(ValueError, match="bug"):
        await running
    assert not tasks()


async def test_a_session_that_is_cancelled_leaves_no_task() -> None:
    session = session_of(Peer())
    running = asyncio.create_task(session.run(echo, ignore))
    await asyncio.sleep(0)

    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    assert not tasks()


def deaf_at_first(handling: asyncio.Event) -> Handle:
    """Return a handler that tells when it is at work, and swallows its first cancellation."""

    async def handle(session: Session, incoming: Incoming) -> None:
        handling.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    return handle


async def test_a_session_that_is_cancelled_twice_leaves_no_task() -> None:
    peer = Peer()
    handling = asyncio.Event()

    running = asyncio.create_task(session_of(peer).run(deaf_at_first(handling), ignore))
    peer.says("1")
    await handling.wait()
    for _ in range(2):
        running.cancel()
        await asyncio.sleep(0)

    await asyncio.wait({running}, timeout=5)
    assert running.cancelled()
    assert not tasks()


async def test_a_handler_that_swallows_a_cancellation_is_cancelled_again() -> None:
    """As `asyncio.wait_for` does on Python 3.11, when what it waits for comes just then."""
    peer = Peer()
    handling = asyncio.Event()

    running = asyncio.create_task(session_of(peer).run(deaf_at_first(handling), ignore))
    peer.says("1")
    await handling.wait()
    peer.leaves()

    await asyncio.wait_for(running, 5)
    assert not tasks()


async def test_a_peer_that_sends_faster_than_allowed_is_closed() -> None:
    peer = Peer()
    running = asyncio.create_task(session_of(peer, per_second=2).run(echo, ignore))
    for _ in range(8):
        peer.says("x")

    await asyncio.wait_for(running, 5)

    assert peer.close_code == CloseCode.TOO_MANY_MESSAGES

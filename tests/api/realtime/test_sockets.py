import asyncio

import pytest

from platform_api.errors import ShuttingDown
from platform_api.realtime.close_codes import CloseCode
from platform_api.realtime.outbox import Text
from platform_api.realtime.session import Incoming, Session
from platform_api.realtime.sockets import (
    BATCH_SECONDS,
    RECONNECT_MAX_MS,
    RECONNECT_MIN_MS,
    Sockets,
    SocketsFull,
    TooManySockets,
)
from platform_config import SocketsSettings
from platform_domain.identity import UserId
from tests.api.realtime.peers import Peer, joined

pytestmark = pytest.mark.anyio

ALICE, BOB = UserId("alice"), UserId("bob")


async def ignore(session: Session, incoming: Incoming) -> None: ...


async def served(sockets: Sockets, session: Session) -> None:
    await session.run(ignore, lambda *_: None)
    sockets.leave(session)


def empty(sockets: Sockets) -> bool:
    return not (sockets._all or sockets._by_user or sockets._by_topic)


def test_a_user_may_have_several_sockets() -> None:
    sockets = Sockets()
    first, second = joined(sockets, Peer()), joined(sockets, Peer())
    other = joined(sockets, Peer(), "bob")

    assert sockets.of_user(ALICE) == {first, second}
    assert sockets.of_user(BOB) == {other}
    assert len(sockets) == 3

    sockets.leave(first)

    assert sockets.of_user(ALICE) == {second}


def test_who_leaves_leaves_nothing_behind() -> None:
    sockets = Sockets()
    session = joined(sockets, Peer())
    sockets.enter(session, "a")
    sockets.enter(session, "b")
    sockets.exit(session, "b")

    sockets.leave(session)
    sockets.leave(session)

    assert empty(sockets)
    assert not session.topics


def test_there_are_no_more_sockets_than_may_be() -> None:
    sockets = Sockets(SocketsSettings(max=2, max_per_user=2))
    first = joined(sockets, Peer(), "alice")
    joined(sockets, Peer(), "bob")

    with pytest.raises(SocketsFull):
        joined(sockets, Peer(), "carol")
    sockets.leave(first)
    joined(sockets, Peer(), "carol")


def test_a_user_has_no_more_sockets_than_one_may_have() -> None:
    sockets = Sockets(SocketsSettings(max=10, max_per_user=2))
    first, _ = joined(sockets, Peer(), "alice"), joined(sockets, Peer(), "alice")

    with pytest.raises(TooManySockets):
        joined(sockets, Peer(), "alice")
    joined(sockets, Peer(), "bob")
    sockets.leave(first)
    joined(sockets, Peer(), "alice")


async def test_a_topic_reaches_those_who_entered_it() -> None:
    sockets = Sockets()
    peers = [Peer(), Peer()]
    sessions = [joined(sockets, peer) for peer in peers]
    sockets.enter(sessions[0], "a")

    sockets.tell("a", Text(b'{"n": 1}'))
    sockets.tell("b", Text(b'{"n": 2}'))
    for session in sessions:
        session.close(CloseCode.NORMAL)
        await session.run(ignore, lambda *_: None)

    assert [peer.heard for peer in peers] == [[{"n": 1}], []]


async def test_a_drain_says_goodbye_to_all_and_takes_nobody_new() -> None:
    sockets = Sockets()
    peers = [Peer() for _ in range(3)]
    running = []
    for peer in peers:
        running.append(asyncio.create_task(served(sockets, joined(sockets, peer))))

    await asyncio.wait_for(sockets.drain(), 5)
    await asyncio.gather(*running)

    assert {peer.close_code for peer in peers} == {1012}
    for peer in peers:
        assert peer.heard[-1]["type"] == "goodbye"
        assert 0 < peer.heard[-1]["reconnect_after_ms"] <= RECONNECT_MAX_MS
    with pytest.raises(ShuttingDown):
        joined(sockets, Peer())


async def test_pages_are_asked_to_come_back_at_different_moments() -> None:
    sockets = Sockets()
    peers = [Peer() for _ in range(60)]
    sessions = [joined(sockets, peer, user=f"user-{n // 10}") for n, peer in enumerate(peers)]
    running = [asyncio.create_task(served(sockets, session)) for session in sessions]

    await asyncio.wait_for(sockets.drain(), 5)
    await asyncio.gather(*running)

    moments = sorted(peer.heard[-1]["reconnect_after_ms"] for peer in peers)
    middle = (RECONNECT_MIN_MS + RECONNECT_MAX_MS) / 2
    assert moments[0] >= RECONNECT_MIN_MS
    assert moments[-1] <= RECONNECT_MAX_MS
    assert moments[5] < middle < moments[-6]


async def test_a_drain_closes_sockets_in_batches_over_its_window() -> None:
    sockets = Sockets(SocketsSettings(drain_window=3 * BATCH_SECONDS))
    sessions = [joined(sockets, Peer()) for _ in range(9)]
    clock = asyncio.get_running_loop().time
    began, closed = clock(), dict[int, float]()
    draining = asyncio.create_task(sockets.drain())

    async with asyncio.timeout(5):
        while 9 not in closed:
            await asyncio.sleep(BATCH_SECONDS / 10)
            count = sum(session.close_code is not None for session in sessions)
            closed.setdefault(count, clock() - began)
    for session in sessions:
        sockets.leave(session)
    await draining

    assert list(closed) == [3, 6, 9]
    assert closed[9] > 2 * BATCH_SECONDS * 0.9


async def test_a_drain_does_not_wait_for_who_was_never_accepted() -> None:
    sockets = Sockets()
    never_runs = joined(sockets, Peer())
    draining = asyncio.create_task(sockets.drain())
    await asyncio.sleep(0)

    sockets.leave(never_runs)

    await asyncio.wait_for(draining, 5)


async def test_a_drain_of_nobody_ends_at_once() -> None:
    sockets = Sockets()
    sockets.leave(joined(sockets, Peer()))

    await asyncio.wait_for(sockets.drain(), 5)

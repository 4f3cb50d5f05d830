import asyncio
from typing import Literal

import pytest

from platform_api.realtime.messages import ClientMessage, Done, Pong, Reply
from platform_api.realtime.replies import MessageIdReused, Replies
from platform_domain.identity import UserId

pytestmark = pytest.mark.anyio

ALICE, BOB = UserId("alice"), UserId("bob")


class Say(ClientMessage):
    type: Literal["say"] = "say"
    text: str = ""


def said(id: str, text: str = "") -> Say:
    return Say(id=id, text=text)


class Handler:
    """Answers with how often it was asked, as soon as it may."""

    def __init__(self) -> None:
        self.asked = 0
        self.may_answer = asyncio.Event()
        self.fails = False

    async def __call__(self) -> Reply | None:
        self.asked += 1
        asked = self.asked
        await self.may_answer.wait()
        if self.fails:
            raise ValueError("bug")
        return Pong(id=str(asked))


async def test_a_message_that_is_sent_again_gets_the_same_reply() -> None:
    replies, handler = Replies(), Handler()
    handler.may_answer.set()

    first = await replies.once(ALICE, said("7"), handler)

    assert await replies.once(ALICE, said("7"), handler) == first
    assert await replies.once(BOB, said("7"), handler) != first
    assert await replies.once(ALICE, said("8"), handler) != first
    assert handler.asked == 3


async def test_a_message_that_is_sent_again_while_it_is_handled_is_not_handled_twice() -> None:
    replies, handler = Replies(), Handler()
    answers = [asyncio.create_task(replies.once(ALICE, said("7"), handler)) for _ in range(2)]
    await asyncio.sleep(0)

    handler.may_answer.set()

    assert await answers[0] == await answers[1]
    assert handler.asked == 1


async def test_another_message_with_a_used_id_is_refused_instead_of_answered() -> None:
    replies, handler = Replies(), Handler()
    handler.may_answer.set()
    await replies.once(ALICE, said("7", "hello"), handler)

    with pytest.raises(MessageIdReused):
        await replies.once(ALICE, said("7", "goodbye"), handler)

    assert handler.asked == 1


async def test_a_message_whose_handling_failed_may_be_sent_again() -> None:
    replies, handler = Replies(), Handler()
    handler.may_answer.set()
    handler.fails = True
    with pytest.raises(ValueError, match="bug"):
        await replies.once(ALICE, said("7"), handler)

    handler.fails = False

    assert await replies.once(ALICE, said("7"), handler) == Pong(id="2")


async def test_a_handler_without_an_answer_is_done() -> None:
    async def nothing() -> None: ...

    assert await Replies().once(ALICE, said("7"), nothing) == Done()


async def test_only_the_last_replies_are_remembered() -> None:
    replies, handler = Replies(max_remembered=2), Handler()
    handler.may_answer.set()
    for id in ("1", "2", "3"):
        await replies.once(ALICE, said(id), handler)

    await replies.once(ALICE, said("3"), handler)
    assert handler.asked == 3
    await replies.once(ALICE, said("1"), handler)
    assert handler.asked == 4

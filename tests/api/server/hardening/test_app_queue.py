"""The queue between peer and app."""

import asyncio

import pytest
from hypercorn.typing import ASGIReceiveEvent, HTTPDisconnectEvent, HTTPRequestEvent

from platform_api.server.hardening.app_queue import MAX_BYTES, AppQueue

pytestmark = pytest.mark.anyio
DISCONNECT: HTTPDisconnectEvent = {"type": "http.disconnect"}


def body(size: int) -> HTTPRequestEvent:
    return {"type": "http.request", "body": bytes(size), "more_body": True}


async def next_of(queue: AppQueue) -> ASGIReceiveEvent:
    return await asyncio.wait_for(queue.get(), 1)


async def test_messages_come_in_their_order() -> None:
    queue = AppQueue()
    for size in range(10):
        await queue.put(body(size))

    assert [await next_of(queue) for _ in range(10)] == [body(size) for size in range(10)]


async def test_a_full_queue_makes_the_peer_wait_until_something_is_read() -> None:
    queue = AppQueue()
    await queue.put(body(MAX_BYTES))
    waiting = asyncio.create_task(queue.put(body(1)))
    await asyncio.sleep(0)
    assert not waiting.done()

    await next_of(queue)

    await asyncio.wait_for(waiting, 1)
    assert await next_of(queue) == body(1)


async def test_the_end_gets_into_a_full_queue_and_frees_who_waits() -> None:
    queue = AppQueue()
    await queue.put(body(MAX_BYTES))
    waiting = [asyncio.create_task(queue.put(body(1))) for _ in range(3)]
    await asyncio.sleep(0)

    await queue.put(DISCONNECT)

    await asyncio.wait_for(asyncio.gather(*waiting), 1)
    assert await next_of(queue) == body(MAX_BYTES)
    assert await next_of(queue) == DISCONNECT


async def test_every_reader_is_told_of_the_end() -> None:
    queue = AppQueue()
    waiting = [asyncio.create_task(queue.get()) for _ in range(3)]
    await asyncio.sleep(0)

    await queue.put(DISCONNECT)

    assert await asyncio.wait_for(asyncio.gather(*waiting), 1) == [DISCONNECT] * 3
    assert await next_of(queue) == DISCONNECT


async def test_what_comes_after_the_end_is_dropped() -> None:
    queue = AppQueue()
    await queue.put(DISCONNECT)

    await queue.put(body(1))

    assert await next_of(queue) == DISCONNECT


async def test_a_reader_that_gives_up_takes_nothing_with_it() -> None:
    queue = AppQueue()
    reader = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    reader.cancel()
    await queue.put(body(1))

    assert await next_of(queue) == body(1)


async def test_empty_messages_fill_the_queue_too() -> None:
    queue = AppQueue()

    async def fill() -> None:
        while True:
            await queue.put(body(0))

    filling = asyncio.create_task(fill())
    await asyncio.sleep(0)

    assert not filling.done()
    filling.cancel()

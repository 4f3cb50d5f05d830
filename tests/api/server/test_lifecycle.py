import asyncio

import pytest

from platform_api.server.lifecycle import Lifecycle, current_task

pytestmark = pytest.mark.anyio


async def request(lifecycle: Lifecycle, begun: asyncio.Event) -> tuple[bool, int]:
    """Return whether the drain cancelled this request, and which cancellations are left."""
    with lifecycle.request():
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return lifecycle.take_cancelled(current_task()), current_task().cancelling()
    return False, 0


async def test_a_request_that_the_drain_cancelled_may_go_on_and_answer() -> None:
    lifecycle, begun = Lifecycle(), asyncio.Event()
    task = asyncio.create_task(request(lifecycle, begun))
    await begun.wait()
    lifecycle.drain()

    lifecycle.cancel_requests()

    assert await task == (True, 0)
    assert (lifecycle.cancelled, lifecycle.finished) == (1, 0)
    await asyncio.wait_for(lifecycle.idle(), 5)


async def test_a_request_that_something_else_cancelled_is_not_the_drains() -> None:
    lifecycle, begun = Lifecycle(), asyncio.Event()
    task = asyncio.create_task(request(lifecycle, begun))
    await begun.wait()

    task.cancel()

    assert await task == (False, 1)
    assert lifecycle.cancelled == 0

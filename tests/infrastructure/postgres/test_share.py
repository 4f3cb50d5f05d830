import asyncio

import pytest

from platform_domain.errors import Unavailable
from platform_infrastructure.postgres.share import Share

pytestmark = pytest.mark.anyio


async def test_a_full_queue_is_refused_at_once_and_empties_again() -> None:
    share = Share(places=1, queue=2)
    await share.enter()

    for _ in range(3):  # Whoever waited in vain must not count for ever.
        waiting = [asyncio.create_task(share.enter()) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Unavailable):
            await share.enter()
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)

    assert share.waiting == 0


async def test_a_place_that_was_left_is_taken_by_the_one_that_waits() -> None:
    share = Share(places=1, queue=1)
    await share.enter()
    waiting = asyncio.create_task(share.enter())
    await asyncio.sleep(0)
    assert not waiting.done()

    share.leave()

    await asyncio.wait_for(waiting, 5)
    assert share.waiting == 0

import asyncio

import pytest

from platform_api.light_event import LightEvent

pytestmark = pytest.mark.anyio


async def test_who_waits_is_woken_when_it_is_set() -> None:
    event = LightEvent()
    waiting = [asyncio.create_task(event.wait()) for _ in range(2)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)

    event.set()

    await asyncio.gather(*waiting)


async def test_nobody_waits_for_what_is_set_until_it_is_cleared() -> None:
    event = LightEvent()
    event.set()
    assert event.is_set()
    await event.wait()

    event.clear()

    assert not event.is_set()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(event.wait(), 0.01)


async def test_who_was_woken_goes_on_although_it_is_cleared_at_once() -> None:
    event = LightEvent()
    waiting = asyncio.create_task(event.wait())
    await asyncio.sleep(0)

    event.set()
    event.clear()

    await asyncio.wait_for(waiting, 1)


async def test_who_gives_up_harms_nobody() -> None:
    event = LightEvent()
    leaving, staying = (asyncio.create_task(event.wait()) for _ in range(2))
    await asyncio.sleep(0)

    leaving.cancel()
    event.set()

    await asyncio.wait_for(staying, 1)
    assert leaving.cancelled() or leaving.cancelling()

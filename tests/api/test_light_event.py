import asyncio
import gc
import weakref

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


async def test_one_that_gives_up_does_not_disturb_the_others() -> None:
    event = LightEvent()
    leaving, staying = (asyncio.create_task(event.wait()) for _ in range(2))
    await asyncio.sleep(0)

    leaving.cancel()
    event.set()

    await asyncio.wait_for(staying, 1)
    with pytest.raises(asyncio.CancelledError):
        await leaving


@pytest.mark.parametrize("end", ["cancelled", "woken"])
async def test_an_event_keeps_nothing_of_a_wait_that_is_over(
    monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    loop, event = asyncio.get_running_loop(), LightEvent()
    create, made = loop.create_future, list[weakref.ref[object]]()

    def remembered() -> asyncio.Future[object]:
        made.append(weakref.ref(future := create()))
        return future

    monkeypatch.setattr(loop, "create_future", remembered)
    waiting = asyncio.create_task(event.wait())
    await asyncio.sleep(0)
    (future,) = made
    waiting.cancel() if end == "cancelled" else event.set()
    await asyncio.wait([waiting])
    del waiting
    gc.collect()

    assert future() is None

import asyncio
import time

import pytest

from platform_api.saturation import BEAT_SECONDS, WINDOW_BEATS, Saturation

pytestmark = pytest.mark.anyio


@pytest.fixture
def observed() -> list[bool]:
    return []


@pytest.fixture
def saturation(observed: list[bool]) -> Saturation:
    return Saturation(observed.append)


def stall(seconds: float) -> None:
    time.sleep(seconds)  # The loop stands still and takes no processor: somebody else has it.


def work(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


async def test_a_loop_that_never_rests_is_saturated_however_short_its_turns(
    saturation: Saturation, observed: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A processor of our own, which a shared machine does not give.
    monkeypatch.setattr(time, "thread_time", time.monotonic)
    while not observed:
        saturation.watch()
        work(0.0005)
        await asyncio.sleep(0)

    assert observed == [True]


async def test_a_loop_whose_timers_are_always_late_is_saturated(
    saturation: Saturation, observed: list[bool]
) -> None:
    while not observed:
        saturation.watch()
        stall(0.05)
        await asyncio.sleep(0)

    assert observed == [True]


async def test_one_long_step_is_forgiven(saturation: Saturation, observed: list[bool]) -> None:
    saturation.watch()
    work(BEAT_SECONDS * WINDOW_BEATS * 1.5)
    while not observed:
        saturation.watch()
        await asyncio.sleep(BEAT_SECONDS / 2)

    assert observed == [False]


async def test_who_is_not_asked_any_more_sleeps(
    saturation: Saturation, observed: list[bool]
) -> None:
    saturation.watch()
    await asyncio.sleep(BEAT_SECONDS * 10)

    assert observed == [False]


def test_a_loop_that_has_ended_is_not_taken_for_a_busy_one(
    saturation: Saturation, observed: list[bool]
) -> None:
    async def ask() -> None:
        saturation.watch()

    async def keep_asking() -> None:
        while not observed:
            saturation.watch()
            await asyncio.sleep(BEAT_SECONDS / 2)

    asyncio.run(ask())
    stall(BEAT_SECONDS * WINDOW_BEATS * 2)
    asyncio.run(keep_asking())

    assert observed == [False]

import asyncio
import time

import pytest

from platform_api.middleware.lag import BEAT_SECONDS, PATIENCE_SECONDS, STRICT_SECONDS, Lag

pytestmark = pytest.mark.anyio


def block(seconds: float) -> None:
    time.sleep(seconds)  # The event loop has to stand still: that is what is measured.


async def beats(number: int) -> None:
    await asyncio.sleep(BEAT_SECONDS * (number + 0.5))


async def overloaded() -> Lag:
    """Return the lag of a loop that was late for long enough to be counted as overloaded."""
    lag = Lag()
    for _ in range(8):
        lag.is_too_long()
        block(PATIENCE_SECONDS / 3)
        await beats(1)
    return lag


async def test_a_loop_at_leisure_is_not_late() -> None:
    lag = Lag()
    for _ in range(5):
        assert not lag.is_too_long()
        await beats(1)


async def test_one_long_step_is_forgiven_up_to_a_bound() -> None:
    lag = Lag()
    lag.is_too_long()
    block(PATIENCE_SECONDS * 0.7)
    assert not lag.is_too_long()
    block(PATIENCE_SECONDS * 0.7)
    assert lag.is_too_long()


async def test_after_a_long_step_everything_is_well_again() -> None:
    lag = Lag()
    lag.is_too_long()
    block(PATIENCE_SECONDS * 1.5)
    await beats(1)

    assert not lag.is_too_long()


async def test_who_is_late_all_the_time_is_forgiven_less() -> None:
    lag = await overloaded()
    lag.is_too_long()
    block(BEAT_SECONDS + STRICT_SECONDS * 1.5)

    assert lag.is_too_long()


async def test_who_keeps_up_again_is_forgiven_as_before() -> None:
    lag = await overloaded()
    for _ in range(30):
        lag.is_too_long()
        await asyncio.sleep(BEAT_SECONDS)
    block(BEAT_SECONDS + STRICT_SECONDS * 1.5)

    assert not lag.is_too_long()


async def test_an_idle_server_sleeps() -> None:
    lag = Lag()
    lag.is_too_long()
    await beats(4)
    block(PATIENCE_SECONDS * 2)

    assert not lag.is_too_long()


def test_a_loop_that_has_ended_is_not_taken_for_one_that_is_busy() -> None:
    lag = Lag()

    async def ask() -> bool:
        return lag.is_too_long()

    with asyncio.Runner() as runner:
        assert not runner.run(ask())
    block(2 * PATIENCE_SECONDS)

    with asyncio.Runner() as runner:
        assert not runner.run(ask())

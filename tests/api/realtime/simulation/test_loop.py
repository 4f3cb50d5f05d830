"""The loop below the simulation keeps what asyncio promises."""

import asyncio
from random import Random

import pytest

from tests.api.realtime.simulation.loop import Stuck, VirtualLoop


def test_the_clock_jumps_to_the_next_timer() -> None:
    loop = VirtualLoop(Random(1))

    async def main() -> list[float]:
        times = []
        for seconds in (3600.0, 0.5):
            await asyncio.sleep(seconds)
            times.append(loop.time())
        return times

    assert loop.run(main()) == [3600.0, 3600.5]


def test_which_task_goes_first_is_drawn_and_callbacks_keep_their_order() -> None:
    def order(seed: int) -> tuple[list[int], list[int]]:
        steps: list[int] = []
        calls: list[int] = []

        async def step(number: int) -> None:
            steps.append(number)

        async def main() -> None:
            loop = asyncio.get_running_loop()
            for number in range(5):
                loop.call_soon(calls.append, number)
            await asyncio.gather(*map(step, range(5)))

        VirtualLoop(Random(seed)).run(main())
        return steps, calls

    orders = [order(seed) for seed in range(20)]

    assert len({tuple(steps) for steps, _ in orders}) > 10
    assert all(sorted(steps) == calls == list(range(5)) for steps, calls in orders)
    assert order(7) == orders[7]


def test_a_timeout_ends_what_takes_longer() -> None:
    async def main() -> None:
        async with asyncio.timeout(2):
            await asyncio.sleep(3)

    loop = VirtualLoop(Random(1))

    with pytest.raises(TimeoutError):
        loop.run(main())
    assert loop.time() == 2


def test_who_waits_for_nobody_is_found() -> None:
    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Stuck, match="main"):
        VirtualLoop(Random(1)).run(main())


def test_who_goes_round_in_circles_is_found() -> None:
    async def main() -> None:
        while True:  # noqa: ASYNC110
            await asyncio.sleep(1)

    with pytest.raises(Stuck, match="no end"):
        VirtualLoop(Random(1)).run(main())

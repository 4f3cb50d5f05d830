import asyncio
from collections.abc import Callable

import pytest
from loguru import logger

from platform_domain.health import Status
from platform_infrastructure.events.link import (
    FIRST_PAUSE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    Link,
)

pytestmark = pytest.mark.anyio


class Lost(Exception):
    pass


class Connections:
    """Ends each attempt to follow as it is told, and counts them."""

    def __init__(self, *ends: Exception) -> None:
        self._ends = list(ends)
        self.link = Link(self.follow, (Lost,))
        self.seen: list[bool] = []
        self.well = asyncio.Event()

    async def follow(self) -> None:
        if self._ends:
            raise self._ends.pop(0)
        self.seen.append(self.link.connected())
        self.well.set()
        await asyncio.Event().wait()


async def test_a_lost_connection_is_opened_again() -> None:
    connections = Connections(Lost("refused"), Lost("refused"))
    link, stopping = connections.link, asyncio.Event()
    assert link.health().status is Status.DEGRADED

    running = asyncio.create_task(link.run(stopping))
    async with asyncio.timeout(5):
        await link.wait()
        assert link.health().status is Status.UP
        stopping.set()
        await running

    assert connections.seen == [False]


async def test_the_report_names_the_kind_of_failure_and_the_log_has_its_text() -> None:
    lines: list[str] = []
    sink = logger.add(lines.append, format="{message} {extra}", level="WARNING")
    connections = Connections(Lost('role "app" does not exist\nand a long story'))
    running = asyncio.create_task(connections.link.run(asyncio.Event()))

    await until(lambda: connections.link.health().problem not in (None, "not connected yet"))

    logger.remove(sink)
    problem = connections.link.health().problem
    assert problem == "the server rejects our credentials or settings (Lost)"
    assert len(lines) == 1
    assert 'role "app" does not exist' in lines[0]
    assert "long story" not in lines[0]

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_pauses_grow_up_to_the_longest_and_are_spread(pauses: list[float]) -> None:
    connections = Connections(*[Lost("refused")] * 100)
    running = asyncio.create_task(connections.link.run(asyncio.Event()))
    await asyncio.wait_for(connections.link.wait(), 5)
    running.cancel()

    full = [min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0**n) for n in range(1, 101)]
    spread = [pause / whole for pause, whole in zip(pauses, full, strict=True)]
    assert 0.5 <= min(spread) < 0.6
    assert 0.9 < max(spread) <= 1


async def test_a_bug_is_not_taken_for_a_lost_connection() -> None:
    connections = Connections(ValueError("a bug"))

    with pytest.raises(ValueError, match="a bug"):
        await connections.link.run(asyncio.Event())


async def test_a_second_connection_knows_that_it_is_not_the_first() -> None:
    connections = Connections()
    for _ in range(2):
        stopping = asyncio.Event()
        running = asyncio.create_task(connections.link.run(stopping))
        await connections.well.wait()
        connections.well.clear()
        stopping.set()
        await running

    assert connections.seen == [False, True]


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110 - A change of health sets no event.
            await asyncio.sleep(0)

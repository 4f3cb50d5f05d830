"""Background work is restarted, given up, reported and ended, on a clock that tests turn."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from loguru import logger

from platform_api.declaration import DeclarationInvalid
from platform_api.tasks import LOOK_SECONDS, RestartPolicy, Supervisor, Task, pause
from platform_domain.health import Status
from platform_domain.leadership import Leadership
from tests.api.shapes import assert_names_the_place

pytestmark = pytest.mark.anyio

POLICY = RestartPolicy(first_pause=1.0, longest_pause=8.0, limit=6, window=100.0)


class FakeTime:
    """A clock that moves when somebody pauses. Keeps the pauses, in seconds."""

    def __init__(self) -> None:
        self.now = datetime(2025, 1, 1, tzinfo=UTC)
        self.pauses: list[float] = []

    def clock(self) -> datetime:
        return self.now

    def passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    async def pause(self, stopping: asyncio.Event, seconds: float) -> None:
        self.pauses.append(seconds)
        self.passes(seconds)
        await asyncio.sleep(0)


class Work:
    """Does one of `steps` a run, waits for the end when they are used up."""

    def __init__(self, *steps: Callable[[], object]) -> None:
        self._steps = list(steps)
        self.runs = 0
        self.settled = asyncio.Event()

    async def run(self, stopping: asyncio.Event) -> None:
        self.runs += 1
        if self._steps:
            self._steps.pop(0)()
            return
        self.settled.set()
        await stopping.wait()


def crash() -> None:
    raise ValueError("lost the thread")


def leave() -> None:
    raise SystemExit(3)


def be_cancelled() -> None:
    raise asyncio.CancelledError


def do_nothing() -> None:
    pass


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def log() -> Iterator[list[str]]:
    lines: list[str] = []
    sink = logger.add(lines.append, format="{message}", diagnose=False)
    yield lines
    logger.remove(sink)


def supervise(time: FakeTime, *tasks: Task, stop_timeout: float = 5.0) -> Supervisor:
    return Supervisor(
        tasks, stop_timeout=stop_timeout, policy=POLICY, clock=time.clock, pause=time.pause
    )


async def ended(name: str) -> None:
    """Wait until the supervised task of this name is over, whoever ended it."""
    running = [each for each in asyncio.all_tasks() if each.get_name() == f"task {name}"]
    if running:
        await asyncio.wait(running, timeout=5)


async def test_a_crashed_task_is_restarted(time: FakeTime) -> None:
    work = Work(crash, crash)

    async with supervise(time, Task("work", work.run)) as supervisor:
        await work.settled.wait()

        assert work.runs == 3
        assert supervisor.checks[0].health().status is Status.DEGRADED
        assert supervisor.checks[0].health().problem == "ValueError"


async def test_a_crash_is_logged_once_with_its_trace(time: FakeTime, log: list[str]) -> None:
    work = Work(crash)

    async with supervise(time, Task("work", work.run)):
        await work.settled.wait()

    assert len(log) == 1
    assert log[0].startswith("Task work crashed, 1 times of late. It is restarted soon.\n")
    assert "ValueError: lost the thread" in log[0]
    assert "in crash" in log[0]


async def test_pauses_grow_with_each_crash_up_to_the_longest(time: FakeTime) -> None:
    work = Work(*[crash] * 5)

    async with supervise(time, Task("work", work.run)):
        await work.settled.wait()

    for taken, full in zip(time.pauses, [1, 2, 4, 8, 8], strict=True):
        assert full / 2 <= taken <= full


def test_pauses_are_spread_over_half_their_length() -> None:
    pauses = [POLICY.pause(crashes=3) for _ in range(200)]

    assert 2 <= min(pauses) < 2.5
    assert 3.5 < max(pauses) <= 4


@pytest.mark.parametrize(("critical", "status"), [(True, Status.DOWN), (False, Status.DEGRADED)])
async def test_a_task_that_crashes_too_often_is_given_up(
    time: FakeTime, log: list[str], critical: bool, status: Status
) -> None:
    work = Work(*[crash] * 6)

    async with supervise(time, Task("work", work.run, critical=critical)) as supervisor:
        await ended("work")
        health = supervisor.checks[0].health()

        assert work.runs == 6
        assert (health.status, health.since) == (status, time.now)
        assert "It is given up." in log[-1]
        time.passes(POLICY.window)
        assert supervisor.checks[0].health().status is status


async def test_a_crash_long_ago_is_forgotten(time: FakeTime) -> None:
    work = Work(crash)

    async with supervise(time, Task("work", work.run)) as supervisor:
        crashed_at = time.now
        await work.settled.wait()
        time.passes(POLICY.window)
        health = supervisor.checks[0].health()

        assert health.status is Status.UP
        assert health.since == crashed_at + timedelta(seconds=POLICY.window)
        assert health.problem is None


@pytest.mark.parametrize("way", [leave, be_cancelled, do_nothing])
async def test_however_a_long_task_ends_by_itself_it_is_a_crash(
    time: FakeTime, log: list[str], way: Callable[[], object]
) -> None:
    work = Work(way)

    async with supervise(time, Task("work", work.run)):
        await work.settled.wait()

    assert work.runs == 2
    assert len(log) == 1


async def test_a_periodic_task_runs_at_once_and_then_in_step(time: FakeTime) -> None:
    work = Work(do_nothing, lambda: time.passes(4), lambda: time.passes(25))

    async with supervise(time, Task("work", work.run, every=10)) as supervisor:
        await work.settled.wait()

        assert time.pauses == [10, 6, 0]
        assert supervisor.checks[0].health().status is Status.UP


async def test_a_periodic_task_that_crashes_does_not_wait_for_its_next_turn(
    time: FakeTime,
) -> None:
    work = Work(crash)

    async with supervise(time, Task("work", work.run, every=3600)):
        await work.settled.wait()

    assert time.pauses[0] <= POLICY.first_pause


async def test_a_crash_of_one_task_leaves_the_others_alone(time: FakeTime) -> None:
    ill, well = Work(crash), Work()

    async with supervise(time, Task("ill", ill.run), Task("well", well.run)) as supervisor:
        await ill.settled.wait()
        statuses = {check.name: check.health().status for check in supervisor.checks}

    assert statuses == {"ill": Status.DEGRADED, "well": Status.UP}
    assert well.runs == 1


async def test_tasks_are_told_to_end_and_may_finish(time: FakeTime) -> None:
    seen = []

    async def tidy(stopping: asyncio.Event) -> None:
        await stopping.wait()
        seen.append("tidied up")

    async with supervise(time, Task("tidy", tidy)):
        await asyncio.sleep(0)

    assert seen == ["tidied up"]


async def test_a_task_that_does_not_listen_is_cancelled(time: FakeTime) -> None:
    seen = []

    async def deaf(stopping: asyncio.Event) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            seen.append("cancelled")

    async with supervise(time, Task("deaf", deaf), stop_timeout=0.01):
        await asyncio.sleep(0)

    assert seen == ["cancelled"]


async def test_a_task_that_refuses_to_end_is_left_behind_and_named(
    time: FakeTime, log: list[str]
) -> None:
    released = asyncio.Event()

    async def stubborn(stopping: asyncio.Event) -> None:
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                continue

    async with supervise(time, Task("stubborn", stubborn), stop_timeout=0.01):
        await asyncio.sleep(0)

    assert log == ["task stubborn does not end; it is left behind.\n"]
    released.set()
    await ended("stubborn")


async def test_a_pause_ends_when_it_is_time_to_stop() -> None:
    stopping = asyncio.Event()
    pausing = asyncio.create_task(pause(stopping, 3600))
    await asyncio.sleep(0)

    stopping.set()

    await asyncio.wait_for(pausing, 5)


async def test_a_pause_lasts_its_time() -> None:
    clock = asyncio.get_running_loop().time
    began = clock()

    await asyncio.wait_for(pause(asyncio.Event(), 0.05), 5)

    assert clock() - began > 0.04


class Led(Leadership):
    """Leads after it was asked `refusals` times in vain."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals
        self.asked = 0

    async def run(self, work: Callable[[], Awaitable[None]]) -> bool:
        self.asked += 1
        if self.asked <= self.refusals:
            return False
        await work()
        return True


def supervise_under(leadership: Leadership, time: FakeTime, task: Task) -> Supervisor:
    return Supervisor([task], leadership, policy=POLICY, clock=time.clock, pause=time.pause)


async def test_a_periodic_task_runs_only_where_the_process_leads(time: FakeTime) -> None:
    work, led = Work(do_nothing), Led(refusals=2)

    async with supervise_under(led, time, Task("work", work.run, every=10)) as supervisor:
        await work.settled.wait()

        assert (led.asked, work.runs) == (4, 2)
        assert time.pauses == [LOOK_SECONDS, LOOK_SECONDS, 10]
        assert supervisor.checks[0].health().status is Status.UP


async def test_a_crash_of_the_leaders_task_is_a_crash(time: FakeTime) -> None:
    work = Work(crash)

    async with supervise_under(
        Led(refusals=0), time, Task("work", work.run, every=10)
    ) as supervisor:
        await work.settled.wait()

        assert supervisor.checks[0].health().problem == "ValueError"


async def test_what_runs_in_each_process_asks_for_no_leader(time: FakeTime) -> None:
    periodic, endless = Work(), Work()
    led = Led(refusals=1_000_000)

    async with supervise_under(led, time, Task("a", periodic.run, every=10, per="process")):
        await periodic.settled.wait()
    async with supervise_under(led, time, Task("b", endless.run)):
        await endless.settled.wait()

    assert led.asked == 0


def sync(stopping: asyncio.Event) -> None: ...


async def deaf() -> None: ...


async def idle(stopping: asyncio.Event) -> None: ...


@pytest.mark.parametrize(
    ("run", "every", "complaint"),
    [
        (sync, None, "must be `async def`"),
        (deaf, None, "`run` must take one argument"),
        (idle, 0, "`every` must be greater than 0"),
        (idle, -1, "`every` must be greater than 0"),
    ],
)
def test_a_task_that_cannot_run_fails_at_start_up(
    run: Any, every: float | None, complaint: str
) -> None:
    with pytest.raises(DeclarationInvalid, match=f"task work.*{complaint}") as caught:
        Task("work", run, every=every)

    assert_names_the_place(caught.value, run)


async def test_there_may_be_no_tasks(time: FakeTime) -> None:
    async with supervise(time) as supervisor:
        assert list(supervisor.checks) == []

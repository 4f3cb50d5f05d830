"""Background work: who runs it, what happens when it crashes, and how it ends."""

import asyncio
import inspect
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Literal, Self

from loguru import logger

from platform_api.cancellation import is_cancelled
from platform_api.declaration import DeclarationInvalid, place_of, require_async
from platform_domain.health import Health, HealthCheck, Status
from platform_domain.leadership import Leadership

Pause = Callable[[asyncio.Event, float], Awaitable[None]]
Clock = Callable[[], datetime]

CANCEL_SECONDS = 1.0
LOOK_SECONDS = 0.5
"""How often a process that does not lead asks whether it does now."""


@dataclass(frozen=True, slots=True)
class Task:
    """A background task. `run` gets an event that is set when the task should end.

    With `every` (seconds) the task is periodic. It first runs soon after the start; if a run takes
    longer than `every`, the next one follows at once. `per` says where it runs. With `deployment`,
    it runs in one of the processes that share a database; when that process ends, another takes
    over within 5 s and starts with a run. With `process`, it runs in each process.

    Without `every` it runs in each process until the event is set. Ending earlier is a crash.
    When a `critical` task is given up, the server is down.
    """

    name: str
    run: Callable[[asyncio.Event], Awaitable[None]]
    every: float | None = None
    critical: bool = False
    per: Literal["deployment", "process"] = "deployment"

    def __post_init__(self) -> None:
        """Raises `DeclarationInvalid` for a task that cannot run."""
        where = f"task {self.name} ({place_of(self.run)})"
        require_async(self.run, where)
        try:
            inspect.signature(self.run).bind(asyncio.Event)
        except TypeError:
            raise DeclarationInvalid(f"{where}: `run` must take one argument, an event") from None
        if self.every is not None and self.every <= 0:
            raise DeclarationInvalid(f"{where}: `every` must be greater than 0, in seconds")


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """How a crashed task is started again. Times are in seconds.

    Pauses double from `first_pause` to `longest_pause`; each is shortened at random by up to half,
    so that many servers do not come back in step. `limit` crashes within `window` are too many:
    the task is given up.
    """

    first_pause: float = 1.0
    longest_pause: float = 60.0
    limit: int = 10
    window: float = 600.0

    def pause(self, crashes: int) -> float:
        """Return the pause after the last of `crashes` crashes in a row."""
        full = min(self.first_pause * 2.0 ** (crashes - 1), self.longest_pause)
        return full * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, keeps no secret


class EndedEarly(Exception):
    """A long-running task returned although nobody told it to stop."""


def now() -> datetime:
    return datetime.now(UTC)


async def pause(stopping: asyncio.Event, seconds: float) -> None:
    """Wait so long, or until it is time to stop."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stopping.wait()


class Supervised:
    """One task under supervision: runs it, restarts it and knows how it is."""

    def __init__(
        self,
        task: Task,
        leadership: Leadership | None,
        policy: RestartPolicy,
        clock: Clock,
        pause: Pause,
    ) -> None:
        is_shared = task.every is not None and task.per == "deployment"
        self.name = task.name
        self._task = task
        self._leadership = leadership if is_shared else None
        self._policy = policy
        self._clock = clock
        self._pause = pause
        self._crashes: deque[datetime] = deque()
        self._problem: str | None = None
        self._given_up = False
        self._well_since = clock()

    async def run(self, stopping: asyncio.Event) -> None:
        """Keep the task going until `stopping` is set or it has crashed too often."""
        while not stopping.is_set() and not self._given_up:
            begun = self._clock()
            try:
                ran = await self._run_once(stopping)
            except GeneratorExit:
                raise
            except BaseException as error:
                if is_cancelled(error):
                    raise
                self._crashed(error)
                await self._recover(stopping)
            else:
                await self._pause_until_due(begun, stopping, ran=ran)

    async def _run_once(self, stopping: asyncio.Event) -> bool:
        """Return False when another process runs the task."""
        if self._leadership is not None:
            return await self._leadership.run(lambda: self._task.run(stopping))
        await self._task.run(stopping)
        if self._task.every is None and not stopping.is_set():
            raise EndedEarly(f"{self.name} returned before the server stops.")
        return True

    async def _pause_until_due(
        self, begun: datetime, stopping: asyncio.Event, *, ran: bool
    ) -> None:
        if self._task.every is not None:
            took = (self._clock() - begun).total_seconds()
            due = self._task.every if ran else min(self._task.every, LOOK_SECONDS)
            await self._pause(stopping, max(0.0, due - took))

    def _crashed(self, error: BaseException) -> None:
        self._forget_old_crashes()
        self._crashes.append(self._clock())
        # The error text may contain a role, an address or a row, so only the log has it.
        self._problem = type(error).__name__
        self._given_up = len(self._crashes) >= self._policy.limit
        logger.opt(exception=error).error(
            "Task {} crashed, {} times of late. It is {}.",
            self.name,
            len(self._crashes),
            "given up" if self._given_up else "restarted soon",
        )

    async def _recover(self, stopping: asyncio.Event) -> None:
        if not self._given_up:
            await self._pause(stopping, self._policy.pause(len(self._crashes)))

    def health(self) -> Health:
        """Down or degraded when given up, degraded while a crash is recent, else up."""
        self._forget_old_crashes()
        if self._given_up:
            status = Status.DOWN if self._task.critical else Status.DEGRADED
            return Health(status, since=self._crashes[-1], problem=self._problem)
        if self._crashes:
            return Health(Status.DEGRADED, since=self._crashes[0], problem=self._problem)
        return Health(Status.UP, since=self._well_since)

    def _forget_old_crashes(self) -> None:
        window = timedelta(seconds=self._policy.window)
        while not self._given_up and self._crashes and self._clock() - self._crashes[0] >= window:
            self._well_since = self._crashes.popleft() + window


class Supervisor:
    """Owns all background tasks: starts them on enter; on exit stops and then cancels them.

    Without a `leadership` this process is the whole deployment. Exit takes at most
    `stop_timeout` seconds, and one more if tasks must be cancelled.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        leadership: Leadership | None = None,
        *,
        stop_timeout: float = 5.0,
        policy: RestartPolicy | None = None,
        clock: Clock = now,
        pause: Pause = pause,
    ) -> None:
        policy = policy or RestartPolicy()
        self._supervised = [Supervised(task, leadership, policy, clock, pause) for task in tasks]
        self._stop_timeout = stop_timeout
        self._stopping = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()

    @property
    def checks(self) -> Sequence[HealthCheck]:
        """How each task is, in the order given."""
        return self._supervised

    async def __aenter__(self) -> Self:
        self._running = {
            asyncio.create_task(each.run(self._stopping), name=f"task {each.name}")
            for each in self._supervised
        }
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.set()
        try:
            await self._ended(self._stop_timeout)
        finally:
            for task in self._running:
                task.cancel()
        await self._ended(CANCEL_SECONDS)
        for task in self._running:
            logger.warning("{} does not end; it is left behind.", task.get_name())

    async def _ended(self, timeout: float) -> None:
        if self._running:
            _, self._running = await asyncio.wait(self._running, timeout=timeout)

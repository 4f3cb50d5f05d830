"""An event loop without a machine below it: time is a number, and chance is a seed.

Nothing waits: when nobody is ready, the clock jumps to the next timer. Among the tasks that are
ready a seeded draw says which makes its next step. Callbacks that belong to no task come before
them, in the order in which they were asked for.

Why only the steps of tasks are drawn: which of two tasks is woken first depends on which packet
came first, and moves with every `await` that somebody adds, so no code may rely on it. That
`call_soon` keeps its order is a promise of asyncio, on which its own timeouts and waits are built:
a loop that broke it would find errors that no real loop can have.
"""

import asyncio
import heapq
import zlib
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from itertools import count
from random import Random
from typing import Any, TypeVar, cast
from weakref import WeakKeyDictionary

T = TypeVar("T")

MAX_STEPS = 300_000
MAX_SECONDS = 5_000.0
"""Far more than any simulated world needs: who gets there goes round in circles."""
MAX_LAST_STEPS = 10_000


class Stuck(AssertionError):
    """Everybody waits for somebody, or nobody ever comes to an end."""


class VirtualLoop:
    """Runs one coroutine to its end; `on_idle` is called before each jump of the clock.

    Has what tasks, futures and timers ask of a loop, and nothing for sockets, threads or signals.
    """

    def __init__(self, chance: Random, on_idle: Callable[[], None] = lambda: None) -> None:
        self.trace = 0
        """A checksum of who ran when: equal for equal runs."""
        self._loop = cast(asyncio.AbstractEventLoop, self)
        self._chance = chance
        self._on_idle = on_idle
        self._now = 0.0
        self._steps = 0
        self._callbacks: deque[asyncio.Handle] = deque()
        self._steps_ready: dict[int, asyncio.Handle] = {}
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._timer_numbers = count()
        self._task_numbers = count()
        self._numbers: WeakKeyDictionary[asyncio.Task[Any], int] = WeakKeyDictionary()

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Return what `main` returns. Raises what it raises, `Stuck`, and what `on_idle` raises."""
        events._set_running_loop(self._loop)
        try:
            task = self.create_task(main, name="main")
            while not task.done():
                self._turn()
            return task.result()
        finally:
            self._end_all_tasks()
            events._set_running_loop(None)

    def time(self) -> float:
        return self._now

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self._loop, context)
        number = self._number(getattr(callback, "__self__", None))
        if number is None:
            self._callbacks.append(handle)
        else:
            self._steps_ready[number] = handle  # A task has one next step.
        return handle

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self._loop, context)
        heapq.heappush(self._timers, (when, next(self._timer_numbers), handle))
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self._loop)

    def create_task(self, work: Coroutine[Any, Any, T], **options: Any) -> asyncio.Task[T]:
        return asyncio.Task(work, loop=self._loop, **options)

    def get_debug(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, AssertionError):
            raise error

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Asked of every loop; a cancelled timer is left out when its time has come."""

    def _number(self, owner: object) -> int | None:
        """Return the number of the task whose step is asked for; None for anything else."""
        if not isinstance(owner, asyncio.Task):
            return None
        if owner not in self._numbers:
            self._numbers[owner] = next(self._task_numbers)
        return self._numbers[owner]

    def _turn(self) -> None:
        self._steps += 1
        if self._steps > MAX_STEPS or self._now > MAX_SECONDS:
            raise Stuck(f"no end after {self._steps} steps")
        if not self._callbacks and not self._steps_ready:
            self._advance()
        handle = self._callbacks.popleft() if self._callbacks else self._drawn()
        if not handle.cancelled():
            handle._run()

    def _drawn(self) -> asyncio.Handle:
        # In the order of numbers, not of wake-ups: sets wake in another order in each process.
        numbers = sorted(self._steps_ready)
        number = numbers[int(self._chance.random() * len(numbers))]
        self.trace = zlib.crc32(b"%d at %r" % (number, self._now), self.trace)
        return self._steps_ready.pop(number)

    def _advance(self) -> None:
        self._on_idle()
        while self._timers and self._timers[0][2].cancelled():
            heapq.heappop(self._timers)
        if not self._timers:
            names = sorted(task.get_name() for task in asyncio.all_tasks(self._loop))
            raise Stuck(f"nothing will ever happen again: {', '.join(names)}")
        self._now = self._timers[0][0]
        while self._timers and self._timers[0][0] <= self._now:
            self._callbacks.append(heapq.heappop(self._timers)[2])

    def _end_all_tasks(self) -> None:
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._on_idle = lambda: None
        try:
            for _ in range(MAX_LAST_STEPS):
                if not asyncio.all_tasks(self._loop):
                    return
                self._turn()
        except AssertionError:
            return  # Why the run failed is told already.

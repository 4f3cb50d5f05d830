"""Where the server is in its life, and which requests it still owes an answer."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum


class Phase(StrEnum):
    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    STOPPED = "stopped"


class Lifecycle:
    """The phase, and the HTTP requests in flight as the tasks that answer them.

    `finished` and `cancelled` count how requests ended since the drain began.
    """

    def __init__(self) -> None:
        self.phase = Phase.STARTING
        self.draining = asyncio.Event()
        self.requests: set[asyncio.Task[object]] = set()
        self.finished = 0
        self.cancelled = 0
        self._cancelled: set[asyncio.Task[object]] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    def drain(self) -> None:
        """From now on the server only ends what it has begun."""
        self.phase = Phase.DRAINING
        self.draining.set()

    @contextmanager
    def request(self) -> Iterator[None]:
        """Count the current task as a request for the length of the block."""
        task = current_task()
        self.requests.add(task)
        self._idle.clear()
        try:
            yield
        finally:
            self._forget(task)

    async def idle(self) -> None:
        """Return when no request is in flight."""
        await self._idle.wait()

    def cancel_requests(self) -> None:
        """Cancel every request in flight."""
        self._cancelled |= self.requests
        for task in self.requests:
            task.cancel()

    def take_cancelled(self, task: asyncio.Task[object]) -> bool:
        """Say whether the drain cancelled `task`; if so, the task may go on and answer."""
        if task not in self._cancelled:
            return False
        task.uncancel()
        return True

    def _forget(self, task: asyncio.Task[object]) -> None:
        self.requests.discard(task)
        self._count(task)
        self._cancelled.discard(task)
        if not self.requests:
            self._idle.set()

    def _count(self, task: asyncio.Task[object]) -> None:
        if task in self._cancelled:
            self.cancelled += 1
        elif self.draining.is_set():
            self.finished += 1


def current_task() -> asyncio.Task[object]:
    """Return the running task. Raises `RuntimeError` outside of one."""
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("This runs only inside an asyncio task.")
    return task

"""The open connections of one server, and their end."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

FAREWELL_SECONDS = 0.4
ENDING_SECONDS = 0.8
TURNS_TO_BEGIN = 10  # Of the loop, from an accept to the task that owns the connection: five.


class Connections:
    """The connections that one `serve` has open, each with the task that owns it."""

    def __init__(self) -> None:
        self.are_cut_off = False
        self._until = 0.0
        self._open: dict[asyncio.Task[object], asyncio.WriteTransport] = {}

    def __len__(self) -> int:
        return len(self._open)

    @contextmanager
    def joined(self, transport: asyncio.WriteTransport) -> Iterator[None]:
        """Count the current task as the owner of `transport` for the length of the block."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("A connection lives in a task of its own.")
        self._open[task] = transport
        try:
            yield
        finally:
            del self._open[task]

    def cut_off_in(self, seconds: float) -> None:
        """Give what is open so much time."""
        loop = asyncio.get_running_loop()
        self._until = loop.time() + seconds
        loop.call_at(self._until, self.cut_off)

    async def finished(self) -> None:
        """Wait, not longer than to the cut, for what was accepted in the last instant.

        Removes: Hypercorn waits for the connections it knows when it closes its listeners; one
        that was just being accepted was cut off without an answer.
        """
        for _ in range(TURNS_TO_BEGIN):
            await asyncio.sleep(0)
        if self._open:
            left = self._until - asyncio.get_running_loop().time()
            await asyncio.wait(list(self._open), timeout=left)

    def cut_off(self) -> None:
        """Cancel what is still going on; a moment for a last word, then the transports go too."""
        self.are_cut_off = True
        loop = asyncio.get_running_loop()
        for task, transport in self._open.items():
            task.cancel()
            loop.call_later(FAREWELL_SECONDS, transport.abort)

    async def ended(self) -> None:
        """Cut off what is left and wait for it, but not for a handler that cannot be cancelled."""
        if self._open:
            self.cut_off()
            await asyncio.wait(list(self._open), timeout=ENDING_SECONDS)

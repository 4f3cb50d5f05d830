"""The open connections of one server, and their end."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

FAREWELL_SECONDS = 0.4
ENDING_SECONDS = 0.8


class Connections:
    """The connections that one `serve` has open, each with the task that owns it."""

    def __init__(self) -> None:
        self.are_cut_off = False
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

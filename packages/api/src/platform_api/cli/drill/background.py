"""Blocking work beside the event loop."""

import asyncio
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self


class Background:
    """While entered, runs each piece of work in a thread; the work ends when `stopping` is set."""

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def add(self, work: Callable[[], None]) -> None:
        self._threads.append(threading.Thread(target=work, daemon=True))

    async def __aenter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stopping.set()
        for thread in self._threads:
            await asyncio.to_thread(thread.join)

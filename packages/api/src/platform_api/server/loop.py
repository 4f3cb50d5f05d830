"""The event loop: uvloop where it runs, and asyncio's own elsewhere."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from loguru import logger

T = TypeVar("T")
LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def new_loop() -> asyncio.AbstractEventLoop:
    """Return a new loop; on Windows one with a selector, because psycopg needs it."""
    if sys.platform == "win32":
        return asyncio.SelectorEventLoop()
    import uvloop

    return uvloop.new_event_loop()


def run(main: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> T:
    """Run `main` to its end, whatever other tasks do.

    asyncio lets a `SystemExit` or `KeyboardInterrupt` of any task end the loop. Here only `main`
    may end it: the loop goes on after one of another task.
    """
    task = loop.create_task(main, name="main")
    _notice_signals(loop)
    while True:
        try:
            return loop.run_until_complete(task)
        except (SystemExit, KeyboardInterrupt) as error:
            if task.done():
                raise
            logger.opt(exception=error).error("A task raised {!r}; the server goes on.", error)


def _notice_signals(loop: asyncio.AbstractEventLoop) -> None:
    """On Windows, wake up now and then: a signal does not interrupt select() there."""
    if sys.platform == "win32":
        loop.call_later(0.2, _notice_signals, loop)

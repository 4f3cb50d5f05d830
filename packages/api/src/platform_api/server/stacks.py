"""Logs the stacks of threads and tasks."""

import asyncio
import signal
import sys
import threading
import traceback
from _thread import start_new_thread
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from types import CodeType, FrameType

from loguru import logger

Place = tuple[CodeType, int]

NAMES_SHOWN = 5


def do_nothing() -> None:
    pass


def log_on_signal(also: Callable[[], None] = do_nothing) -> None:
    """Make SIGUSR1 log all threads and the tasks of the main thread's loop.

    A signal during a dump does not start a second dump. `also` is called in the signal handler.
    Windows has no SIGUSR1.
    """
    busy = threading.Lock()

    def received(number: int, frame: FrameType | None) -> None:
        if busy.acquire(blocking=False):
            try:
                # Not `Thread`: its start takes a lock that the interrupted code may hold.
                start_new_thread(_log_all, (_running_loop(), busy))
            except RuntimeError:  # The system may be unable to start a thread.
                busy.release()
        also()

    if sys.platform != "win32":
        signal.signal(signal.SIGUSR1, received)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _log_all(loop: asyncio.AbstractEventLoop | None, busy: threading.Lock) -> None:
    try:
        log_threads("WARNING")
        if loop is not None:
            _log_tasks(loop)
    finally:
        busy.release()


def log_threads(level: str) -> None:
    """Log one line per thread."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    for ident in sys._current_frames():
        thread = names.get(ident, ident)
        logger.log(level, "Stack of a thread", thread=thread, stack=stack_of(ident))


def stack_of(thread: int) -> str:
    """Return the stack of the thread with this `ident`, the innermost call last."""
    frame = sys._current_frames().get(thread)
    places = [(each.f_code, line) for each, line in traceback.walk_stack(frame)] if frame else []
    return _text(reversed(places))


def _log_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """Log one line for all tasks that wait in the same place: a server has thousands."""
    tasks = defaultdict(list)
    for task in asyncio.all_tasks(loop):
        tasks[tuple(_places(task.get_coro()))].append(task.get_name())
    for places, names in tasks.items():
        some = names[:NAMES_SHOWN]
        logger.warning("Stack of tasks", tasks=len(names), names=some, stack=_text(places))


def _places(awaited: object) -> Iterator[Place]:
    """Return where a coroutine waits, and the same for each coroutine that it awaits."""
    while frame := getattr(awaited, "cr_frame", None) or getattr(awaited, "gi_frame", None):
        yield frame.f_code, frame.f_lineno or 0
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "gi_yieldfrom", None)


def _text(places: Iterable[Place]) -> str:
    summary = traceback.StackSummary.from_list(
        [(code.co_filename, line, code.co_qualname, None) for code, line in places]
    )
    return "".join(summary.format()).rstrip()

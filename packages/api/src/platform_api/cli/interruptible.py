"""Commands that a signal ends cleanly: their statement is cancelled on PostgreSQL."""

import asyncio
import sys
from asyncio import CancelledError
from collections.abc import Coroutine
from typing import Any, TypeVar

import typer

from platform_api.server.signals import StopSignals

T = TypeVar("T")


def interruptible(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` and return its result; the first SIGINT or SIGTERM cancels it.

    psycopg then asks the server to cancel the statement and waits until it ends. The exit code is
    128 + the signal number, as in shells. A second signal ends the process at once.
    """
    # psycopg cannot use the proactor loop that is the default on Windows.
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        loop = runner.get_loop()
        task = loop.create_task(work)

        def cancel() -> None:
            loop.call_soon_threadsafe(task.cancel)

        with StopSignals(cancel) as signals:
            try:
                return loop.run_until_complete(task)
            except CancelledError:
                print("Stopped by a signal.", file=sys.stderr)
                raise typer.Exit(128 + (signals.received or 0)) from None

"""SIGHUP: somebody asks for a reload, or the terminal that we were started in is gone."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable


def on_hangup(reload: Callable[[], object], *, gone: Callable[[], object]) -> None:
    """From now on call `reload` in the running loop, or `gone` when our terminal was closed.

    Windows has no such signal.
    """
    if sys.platform == "win32":
        return
    had_terminal = _has_terminal()

    def hung_up() -> None:
        if had_terminal and not _has_terminal():
            gone()
        else:
            reload()

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hung_up)


def _has_terminal() -> bool:
    """Say whether input or output is a terminal; one that was closed is none any more."""
    return any(map(os.isatty, (0, 1, 2)))

"""The process that started this one and holds the other end of our standard input."""

import os
import signal
import sys
import threading


def first_line() -> str:
    """Return the first line of standard input, without its end.

    When the input ends, as it does with the parent, this process gets a SIGTERM.
    """
    line = sys.stdin.readline().strip()
    threading.Thread(target=_follow, name="follow parent", daemon=True).start()
    return line


def _follow() -> None:
    # Not through sys.stdin: a thread that holds its lock breaks the interpreter's way out.
    os.read(sys.stdin.fileno(), 1)
    ask_ourselves_to_stop()


def ask_ourselves_to_stop() -> None:
    """Get a SIGTERM. From any thread."""
    if sys.platform == "win32":
        signal.raise_signal(signal.SIGTERM)  # os.kill() would leave the handler out.
    else:
        os.kill(os.getpid(), signal.SIGTERM)  # raise_signal() would not wake the main thread.

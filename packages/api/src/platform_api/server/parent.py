"""The process that started this one and holds the other end of our standard input."""

import os
import signal
import sys
import threading

REPLACED = b"replaced\n"


class Parent:
    """Its first line is an order. Later a word that we are replaced, or its end, ends us as well."""

    def __init__(self) -> None:
        self.has_replaced_us = False

    def order(self) -> str:
        """Return the first line of standard input, without its end.

        From now on the process gets a SIGTERM when its parent says so or is gone.
        """
        order = sys.stdin.readline().strip()
        threading.Thread(target=self._follow, name="follow parent", daemon=True).start()
        return order

    def _follow(self) -> None:
        # Not through sys.stdin: a thread that holds its lock breaks the interpreter's way out.
        self.has_replaced_us = os.read(sys.stdin.fileno(), len(REPLACED)) == REPLACED
        if sys.platform == "win32":
            signal.raise_signal(signal.SIGTERM)  # os.kill() would leave the handler out.
        else:
            os.kill(os.getpid(), signal.SIGTERM)  # raise_signal() would not wake the main thread.

"""One holder per folder, by the operating system's lock on a file.

Such a lock ends with its process, so a file that was left behind is no obstacle. The text of the
file only says who holds it, for people.
"""

import os
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

RELEASE_SECONDS = 15.0
LOCKED_BYTE = 1 << 20
"""Windows forbids others to read a locked byte, so it lies far behind the text."""


class Held(Exception):
    """Another process holds the folder. The text says which."""


class FolderLock:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1

    def __enter__(self) -> Self:
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._file)

    def acquire(self, holder: int) -> None:
        """Take the lock in the name of the process `holder`, or raise `Held` at once.

        A holder that has announced its end, or is dead already, is waited for.
        """
        give_up = time.monotonic() + RELEASE_SECONDS
        while not _locked(self._file):
            pid = self._path.read_text()
            if (pid and alive(int(pid))) or time.monotonic() > give_up:
                raise Held(
                    f"The PostgreSQL in {self._path.parent} is already in use by process "
                    f"{pid or '(unknown, it is ending)'}. Stop that process first, "
                    "or set DATABASE_URL to another PostgreSQL."
                )
            time.sleep(0.05)
        self._write(str(holder))

    def announce_release(self) -> None:
        self._write("")

    def _write(self, text: str) -> None:
        os.ftruncate(self._file, 0)
        os.lseek(self._file, 0, os.SEEK_SET)
        os.write(self._file, text.encode())


def alive(pid: int) -> bool:
    """Whether there is such a process. Windows cannot be asked (signal 0 is Ctrl-C there): True."""
    if sys.platform == "win32":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # It is there, and somebody else's.
    return True


if sys.platform == "win32":

    def _locked(file: int) -> bool:
        os.lseek(file, LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:

    def _locked(file: int) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

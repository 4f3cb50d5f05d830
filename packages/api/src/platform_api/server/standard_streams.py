"""Standard streams of a server: they are always open, and writing never blocks on the reader.

A full pipe, a stopped terminal or a hanging disk blocks the process that writes to it, and a server
writes its log from the event loop.
"""

import atexit
import io
import os
import select
import sys
import time
from queue import SimpleQueue
from threading import RLock, Thread, get_ident
from typing import TYPE_CHECKING, BinaryIO, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

LIMIT_BYTES = 1024 * 1024
BATCH_BYTES = 16_384
ATOMIC_BYTES = getattr(select, "PIPE_BUF", 512)
REST_SECONDS = 0.01
REPORT_SECONDS = 1.0
DRAIN_SECONDS = 1.0
END_OF_LINE = b"\n"


def install() -> None:
    """Open the streams that the parent closed; make `sys.stdout` and `sys.stderr` non-blocking.

    Call this once, before anything else opens a file. Otherwise a socket could get descriptor 2 and
    receive the log.
    """
    _open_missing()
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stdout = _unblocked(sys.stdout or os.fdopen(1, "w", closefd=False), "stdout")
    sys.stderr = _unblocked(sys.stderr or os.fdopen(2, "w", closefd=False), "stderr")
    atexit.register(drain)


def drain_before_the_log_ends() -> None:
    """At exit, drain the streams before loguru removes its handlers."""
    atexit.unregister(drain)
    atexit.register(drain)


def drain() -> None:
    """Wait up to a second per stream until everything is written. Safe in a signal handler."""
    for stream in (sys.stdout, sys.stderr):
        buffer = getattr(stream, "buffer", None)
        if isinstance(buffer, Unblocking):
            stream.flush()
            buffer.drain(DRAIN_SECONDS)


def _open_missing() -> None:
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)  # A worker needs it too.
    os.close(descriptor)


def _unblocked(stream: TextIO, name: str) -> TextIO:
    return io.TextIOWrapper(
        Unblocking(stream, name),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=True,
    )


class Unblocking(io.RawIOBase):
    """Writes in a separate thread, so that only this thread waits for `stream`.

    Up to 1 MiB is buffered in memory. Data that does not fit or cannot be written is dropped, and
    the number of dropped lines is logged when there is room again. Lines are not mixed when several
    processes write to one pipe.
    """

    def __init__(self, stream: TextIO, name: str) -> None:
        self.name = name
        self._stream = stream  # A reference, so that its descriptor is not closed.
        self._target: BinaryIO = getattr(stream.buffer, "raw", stream.buffer)
        self._begin()
        if hasattr(os, "register_at_fork"):  # A forked process has none of our threads.
            os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        self._lock = RLock()  # Reentrant, because the garbage collector may run code that logs.
        self._queue: SimpleQueue[bytes] = SimpleQueue()
        self._taken = self._done = 0  # In bytes; the difference is buffered.
        self._dropped = 0  # In lines.
        self._reported_at = 0.0
        self._is_torn = False  # A line was only partly written.
        self._thread = Thread(target=self._run, name=f"write {self.name}", daemon=True)
        self._thread.start()

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._target.fileno()

    def isatty(self) -> bool:
        return self._target.isatty()

    def write(self, data: "ReadableBuffer", /) -> int:
        """Return at once, as if everything was written."""
        lines = bytes(data)
        if sys.is_finalizing():  # The thread is gone and may still hold the lock.
            return len(lines)
        with self._lock:
            if self._has_room_for(len(lines)):
                self._taken += len(lines)
                self._queue.put(lines)
            else:
                self._dropped += lines.count(END_OF_LINE)
        return len(lines)

    def _has_room_for(self, size: int) -> bool:
        waiting = self._taken - self._done
        return (
            not waiting
            or waiting + size <= LIMIT_BYTES
            or get_ident() == self._thread.ident  # The line that reports the dropped lines.
        )

    def drain(self, seconds: float) -> None:
        """Return when everything is written, or after `seconds`. Safe in a signal handler."""
        until = time.monotonic() + seconds
        while self._done < self._taken and time.monotonic() < until:
            time.sleep(0.001)

    def _run(self) -> None:
        while True:
            lines = self._next()
            if self._write_all(lines):
                self._report()
            self._done += len(lines)
            if self._queue.empty():
                time.sleep(REST_SECONDS)  # So a busy server does not wake it per line.

    def _next(self) -> bytes:
        parts = [self._queue.get()]
        size = len(parts[0])
        while size < BATCH_BYTES and not self._queue.empty():
            parts.append(self._queue.get())
            size += len(parts[-1])
        return b"".join(parts)

    def _write_all(self, lines: bytes) -> bool:
        whole = rest = END_OF_LINE + lines if self._is_torn else lines
        try:
            while rest:
                rest = rest[self._write_some(rest) :]
        except (OSError, ValueError):  # The disk is full, or the reader is gone.
            self._drop(min(rest.count(END_OF_LINE), lines.count(END_OF_LINE)))
            if written := whole[: len(whole) - len(rest)]:
                self._is_torn = not written.endswith(END_OF_LINE)
            return False
        self._is_torn = False
        return True

    def _write_some(self, lines: bytes) -> int:
        written = self._target.write(lines[: _whole_lines(lines)])
        if not written:  # It is full, and another process made it non-blocking.
            time.sleep(REST_SECONDS)
        return written or 0

    def _drop(self, lines: int) -> None:
        with self._lock:
            self._dropped += lines

    def _report(self) -> None:
        if not self._dropped or not self._is_time_to_report():
            return
        with self._lock:
            dropped, self._dropped = self._dropped, 0
        from loguru import logger

        logger.error("Output dropped", stream=self.name, lines=dropped)

    def _is_time_to_report(self) -> bool:
        """True when the buffer is empty, or once a second while a slow reader keeps it full."""
        now = time.monotonic()
        if not self._queue.empty() and now < self._reported_at + REPORT_SECONDS:
            return False
        self._reported_at = now
        return True


def _whole_lines(lines: bytes) -> int:
    """Return how much to write at once: writes up to PIPE_BUF bytes to a pipe are atomic."""
    return (
        lines.rfind(END_OF_LINE, 0, ATOMIC_BYTES) + 1 or lines.find(END_OF_LINE) + 1 or len(lines)
    )

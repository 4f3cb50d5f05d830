"""A program under test, as an admin sees it: its output, its ports, its exit code."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, Queue
from threading import Thread

PATIENCE_SECONDS = 15.0


class Program:
    """One running test program. Its output is read all the time and kept."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._lines: Queue[str | None] = Queue()
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()
        self.seen: list[str] = []

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def output(self) -> str:
        return "\n".join(self.seen)

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Read on until a line matches; fail when the output ends or nothing comes."""
        while (line := self._next()) is not None:
            if match := re.search(pattern, line):
                return match
        raise AssertionError(f"The program never said {pattern!r}:\n{self.output}")

    def _next(self) -> str | None:
        try:
            line = self._lines.get(timeout=PATIENCE_SECONDS)
        except Empty:
            raise AssertionError(f"The program says nothing more:\n{self.output}") from None
        if line is not None:
            self.seen.append(line)
        return line

    def wait_until_listening(self) -> None:
        found = self.wait_for(r"Listening on http://127.0.0.1:(\d+) \(admin: http://[\d.]+:(\d+)")
        self.port, self.admin_port = int(found[1]), int(found[2])

    def signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        self._process.send_signal(number)

    def exit_code(self) -> int:
        """Wait for the end, and for the last line of output."""
        code = self._process.wait(PATIENCE_SECONDS)
        while self._next() is not None:
            pass
        return code

    def end(self) -> None:
        self._process.kill()
        self._process.wait(PATIENCE_SECONDS)
        self._reader.join(PATIENCE_SECONDS)


@contextmanager
def started(module: str, **options: object) -> Iterator[Program]:
    """Run `module` with `options` as its only argument, in JSON; afterwards it is gone."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, json.dumps(options)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    program = Program(process)
    try:
        yield program
    finally:
        program.end()

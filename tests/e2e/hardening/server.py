"""The server under attack, and what can be seen of it from outside."""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from tests.e2e.hardening.client import Client, connected
from tests.processes import PATIENCE_SECONDS, Program, started

PROGRAM = "tests.e2e.hardening.program"


class Server:
    """A started program and how it fares."""

    def __init__(self, program: Program) -> None:
        self.program = program
        found = program.wait_for(r"Process (\d+) listens on (\d+)\.")
        self.pid, self.port = int(found[1]), int(found[2])

    def connected(
        self, *, source: str = "127.0.0.1", buffer: int = 0
    ) -> AbstractContextManager[Client]:
        return connected(self.port, source=source, buffer=buffer)

    def memory(self) -> int:
        """Return the resident set's highest size so far, in MiB."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) // 1024

    def files(self) -> int:
        """Count open descriptors, but for the reserves: libuv opens its own with the first stream."""
        opened = Path(f"/proc/{self.pid}/fd").iterdir()
        return sum(os.path.realpath(file) != os.devnull for file in opened)

    def tasks(self) -> int:
        return int(self.state()["tasks"])

    def state(self) -> dict[str, int]:
        with self.connected() as client:
            client.send(b"GET /state HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            found: dict[str, int] = json.loads(client.answer().body)
            return found


@contextmanager
def serving(module: str = PROGRAM, /, **options: object) -> Iterator[Server]:
    """Run the program with these options; whatever happens, it is gone afterwards."""
    with started(module, **options) as program:
        yield Server(program)


def eventually(holds: Callable[[], bool], *, within: float = PATIENCE_SECONDS) -> float:
    """Wait for something that only looking again can tell; return how long it took."""
    began = time.monotonic()
    while not holds():
        waited = time.monotonic() - began
        assert waited < within, f"still not so after {waited:.1f} s"
        time.sleep(0.05)
    return time.monotonic() - began


def cpu_seconds(pid: int) -> float:
    """Return the processor's time that the process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

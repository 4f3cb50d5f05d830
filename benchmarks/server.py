"""The server to measure: a real `serve` on cores of its own, with a PostgreSQL of its own."""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.serve import COMMANDS, environment

from platform_infrastructure.postgres.embedded import EmbeddedPostgres

SERVER, CLIENT = 0, 1
START_SECONDS = 60.0
STOP_SECONDS = 40.0


@dataclass(frozen=True, slots=True)
class Server:
    pid: int
    port: int


@contextmanager
def serving() -> Iterator[Server]:
    """Yield the server when it is ready. What is started inside the block runs beside it."""
    if sys.platform != "linux":
        raise SystemExit("The benchmarks read /proc, so they run on Linux only.")
    open_as_many_files_as_allowed()
    cores = os.sched_getaffinity(0)
    pin(CLIENT, cores)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with EmbeddedPostgres(folder / "postgres") as postgres:
            process = _started(folder, postgres.url, cores)
            try:
                yield Server(process.pid, _port(process, folder / "log"))
            finally:
                process.terminate()
                process.wait(STOP_SECONDS)


def open_as_many_files_as_allowed() -> None:
    """Each socket is a file, here and in the server, which inherits the limit."""
    import resource  # Windows has none, and gets the sentence of `serving` instead.

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def pin(which: int, cores: Collection[int]) -> None:
    """Keep this thread, and the processes that it will start, on one core if there are two."""
    if len(cores) > 1:
        os.sched_setaffinity(0, {sorted(cores)[which]})


def _started(folder: Path, url: str, cores: Collection[int]) -> subprocess.Popen[bytes]:
    pin(SERVER, cores)
    try:
        with (folder / "log").open("wb") as log:
            return subprocess.Popen(
                [COMMANDS / "serve"],
                cwd=folder,
                env=environment({"DATABASE_URL": url, "LOG_FORMAT": "json"}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
    finally:
        pin(CLIENT, cores)


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    give_up = time.monotonic() + START_SECONDS
    while time.monotonic() < give_up and process.poll() is None:
        if found := re.search(r"Listening on http://127\.0\.0\.1:(\d+)", log.read_text()):
            return int(found[1])
        time.sleep(0.05)
    process.kill()
    raise RuntimeError(f"The server did not start:\n{log.read_text()}")

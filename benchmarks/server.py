"""The server to measure: a real process on a core of its own, with a PostgreSQL of its own."""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.serve import COMMANDS, environment

from platform_infrastructure.postgres.embedded import EmbeddedPostgres

SERVER, CLIENT = 0, 1
START_SECONDS = 60.0
STOP_SECONDS = 40.0
SERVE = (str(COMMANDS / "serve"),)


@dataclass(frozen=True, slots=True)
class Server:
    pid: int
    port: int


@contextmanager
def serving(command: Sequence[str] = SERVE, **settings: object) -> Iterator[Server]:
    """Yield our server, with these settings, when it is ready."""
    on_linux_only()
    pin(CLIENT, os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as name, EmbeddedPostgres(Path(name, "data")) as postgres:
        given = {name: str(value) for name, value in settings.items()}
        with started(
            command, {"DATABASE_URL": postgres.url, "LOG_FORMAT": "json"} | given
        ) as server:
            yield server


@contextmanager
def started(command: Sequence[str], settings: Mapping[str, str]) -> Iterator[Server]:
    """Yield any server that logs its URL. What is started inside the block runs beside it."""
    on_linux_only()
    open_as_many_files_as_allowed()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        process = _spawned(command, settings, folder)
        try:
            yield Server(process.pid, _port(process, folder / "log"))
        finally:
            process.terminate()
            process.wait(STOP_SECONDS)


def on_linux_only() -> None:
    if sys.platform != "linux":
        raise SystemExit("The benchmarks read /proc, so they run on Linux only.")


def open_as_many_files_as_allowed() -> None:
    """Each socket is a file, here and in the server, which inherits the limit."""
    import resource  # Windows has none, and gets the sentence of `on_linux_only` instead.

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def pin(which: int, cores: Collection[int]) -> None:
    """Keep this thread, and the processes that it will start, on one core if there are two."""
    if len(cores) > 1:
        os.sched_setaffinity(0, {sorted(cores)[which]})


def _spawned(
    command: Sequence[str], settings: Mapping[str, str], folder: Path
) -> subprocess.Popen[bytes]:
    cores = range(os.cpu_count() or 1)
    pin(SERVER, cores)
    try:
        with (folder / "log").open("wb") as log:
            return subprocess.Popen(
                command,
                cwd=folder,
                env=environment(settings),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
    finally:
        pin(CLIENT, cores)


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    give_up = time.monotonic() + START_SECONDS
    while time.monotonic() < give_up and process.poll() is None:
        if found := re.search(r"http://127\.0\.0\.1:(\d+)", log.read_text()):
            return int(found[1])
        time.sleep(0.05)
    process.kill()
    raise RuntimeError(f"The server did not start:\n{log.read_text()}")

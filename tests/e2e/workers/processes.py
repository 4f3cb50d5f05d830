"""Starts `serve --workers N` and names its processes."""

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from tests.e2e.serve import COMMANDS, spawn
from tests.processes import Program

READY = r"Worker (\d+) is process (\d+) \(([\d.]+) s\)"
NO_SUCH_PATH = "/nowhere"
"""Passes the whole request path except the database."""


@contextmanager
def started(folder: Path, workers: int = 2, /, **settings: str) -> Iterator[Program]:
    """Run it; afterwards the parent is gone, and with it in a moment the workers."""
    program = spawn([str(COMMANDS / "serve"), "--workers", str(workers)], folder, settings)
    try:
        yield program
    finally:
        program.end()


@contextmanager
def serving(folder: Path, workers: int = 2, /, **settings: str) -> Iterator[Program]:
    """Run it and wait until all workers serve."""
    with started(folder, workers, **settings) as program:
        wait_until_serving(program)
        yield program


def wait_until_serving(program: Program) -> None:
    program.port = int(program.wait_for(r"\d workers serve http://127.0.0.1:(\d+)")[1])


def pids(program: Program) -> dict[int, int]:
    """Return the process of each worker as far as the output was read; the newest counts."""
    return {int(number): int(pid) for number, pid, _ in re.findall(READY, program.output)}


def admin_ports(program: Program, workers: int = 2, starts: int = 1) -> dict[int, int]:
    """Return the admin port of each worker's newest process, once each has started `starts` times.

    A worker logs its ports itself, so that line may follow what the parent says of the worker.
    """
    said = r"admin: http://127\.0\.0\.1:(\d+)\) worker=(\d+)"
    while len(found := re.findall(said, program.output)) < workers * starts:
        program.wait_for(said)
    return {int(worker): int(port) for port, worker in found}


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_until_gone(program: Program, *, within: float) -> int:
    """Wait for the end of the output: it comes with the last process that could write to it.

    Returns the exit code of the parent.
    """
    began = time.monotonic()
    code = program.exit_code()
    assert time.monotonic() - began < within
    return code


def wait_for_worker(program: Program, number: int) -> int:
    """Wait until another one serves, and return its process."""
    return int(program.wait_for(READY.replace(r"(\d+)", str(number), 1))[1])


def status_of(port: int, path: str = NO_SUCH_PATH) -> int:
    return httpx2.get(f"http://127.0.0.1:{port}{path}").status_code

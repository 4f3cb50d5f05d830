"""Starts `serve --workers N` and names its processes."""

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from tests.e2e.hardening.server import cpu_seconds
from tests.e2e.serve import COMMANDS, spawn
from tests.processes import PATIENCE_SECONDS, Program

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


def admin_ports(program: Program) -> dict[int, int]:
    """Return the admin port of each worker; the newest process counts.

    Waits until every process that the parent calls ready has logged its own port. Worker and parent
    write to the same pipe, so these lines come in any order.
    """
    own_line = r"admin: http://127\.0\.0\.1:(\d+)\) worker=(\d+)"
    while len(re.findall(own_line, program.output)) < len(re.findall(READY, program.output)):
        program.wait_for(own_line)
    found = re.findall(own_line, program.output)
    return {int(worker): int(port) for port, worker in found}


def spare_of(program: Program) -> int:
    """Wait until the parent has one child that is not a worker, and return its pid. Linux only."""
    children = Path(f"/proc/{program.pid}/task/{program.pid}/children")
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        others = {*map(int, children.read_text().split())} - {*pids(program).values()}
        if len(others) == 1:
            return others.pop()
        time.sleep(0.01)  # There is no event for a new child.
    raise AssertionError(f"No spare process:\n{program.output}")


def wait_until_loaded(pid: int) -> None:
    """Wait until the spare has imported the code and uses no more processor time. Linux only."""
    used, until = -1.0, time.monotonic() + PATIENCE_SECONDS
    while (now := cpu_seconds(pid)) != used or now < 0.2:
        assert time.monotonic() < until, "The spare has not finished loading."
        used = now
        time.sleep(0.3)  # There is no event for the end of its imports.


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


def wait_until(condition: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
    """Return when the condition holds, for what another process or thread does without an event."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def wait_for_worker(program: Program, number: int) -> int:
    """Wait until another one serves, and return its process."""
    return int(program.wait_for(READY.replace(r"(\d+)", str(number), 1))[1])


def status_of(port: int, path: str = NO_SUCH_PATH) -> int:
    return httpx2.get(f"http://127.0.0.1:{port}{path}").status_code

"""SIGUSR1 and SIGUSR2, whatever a process of ours is doing."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread

import pytest

from tests.e2e.serve import COMMANDS, listening, spawn
from tests.e2e.test_reload import process_of
from tests.e2e.workers.processes import (
    pids,
    serving,
    started,
    status_of,
    wait_until_serving,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="There are no such signals."),
]
linux = pytest.mark.skipif(sys.platform != "linux", reason="finds processes through /proc")

USER_SIGNALS = (signal.SIGUSR1, signal.SIGUSR2)


def test_one_process_logs_its_threads_and_tasks(tmp_path: Path, database_url: str) -> None:
    with listening(tmp_path, DATABASE_URL=database_url) as program:
        program.signal(signal.SIGUSR2)
        program.signal(signal.SIGUSR1)
        program.wait_for("WARNING .*Stack of a thread thread=MainThread")
        program.wait_for(r"File .*runner\.py.* in Server\.run$")
        program.wait_for(r'Stack of tasks tasks=1 names=\["main"\]$')
        program.wait_for(r"in Server\._live$")
        program.wait_for(r"in Stop\.asked$")

        assert status_of(program.port) == 404
        program.signal()
        assert program.exit_code() == 0


def test_a_parent_logs_its_stacks_and_so_do_its_workers(tmp_path: Path, database_url: str) -> None:
    with serving(tmp_path, DATABASE_URL=database_url) as program:
        before = pids(program)
        program.signal(signal.SIGUSR2)
        program.signal(signal.SIGUSR1)
        mains = [
            program.wait_for(r"Stack of a thread (worker=\d )?thread=MainThread")[1]
            for _ in range(3)
        ]

        assert set(mains) == {None, "worker=0 ", "worker=1 "}
        program.signal()
        assert program.exit_code() == 0
        assert pids(program) == before


@linux
def test_neither_ends_a_worker_that_has_only_just_been_started(
    tmp_path: Path, database_url: str
) -> None:
    with started(tmp_path, DATABASE_URL=database_url) as program:
        program.wait_for("Platform 0.")
        with signalled_all_the_time(program.pid):
            wait_until_serving(program)
            program.signal(signal.SIGHUP)
            program.wait_for("All workers are new")
        program.signal()

        assert program.exit_code() == 0
        assert "starts again" not in program.output


@contextmanager
def signalled_all_the_time(parent: int) -> Iterator[None]:
    """Send both signals to the children of `parent` over and over, from their first moment on."""
    children, over = Path(f"/proc/{parent}/task/{parent}/children"), Event()

    def signal_all() -> None:
        while not over.wait(0.005):
            for child in children.read_text().split():
                for number in USER_SIGNALS:
                    with suppress(ProcessLookupError):
                        os.kill(int(child), number)

    thread = Thread(target=signal_all)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_a_reloading_server_logs_its_stacks_too(tmp_path: Path, database_url: str) -> None:
    command = [str(COMMANDS / "serve"), "--reload"]
    program = spawn(command, tmp_path, {"DATABASE_URL": database_url})
    try:
        server = process_of(program)
        os.kill(server, signal.SIGUSR1)  # Its first moment.
        program.wait_until_listening()
        for number in USER_SIGNALS:
            program.signal(number)
        program.wait_for(r"Reloader\.run$")
        program.wait_for(r"in Server\._live$")

        assert status_of(program.port) == 404
        program.signal()
        assert program.exit_code() == 0
        assert "ended with" not in program.output
    finally:
        program.end()

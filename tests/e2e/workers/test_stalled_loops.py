"""An event loop that stands still: one process says where, a worker is replaced as well."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.serve import spawn
from tests.e2e.server.processes import connected
from tests.e2e.workers.load import REQUEST
from tests.e2e.workers.processes import (
    admin_ports,
    pids,
    status_of,
    wait_for_worker,
    wait_until_serving,
)
from tests.processes import Program

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="Sends POSIX signals."),
]

ROOT = Path(__file__).parents[3]
STALL_SECONDS = 2


@contextmanager
def blocking(folder: Path, database_url: str, *arguments: str) -> Iterator[Program]:
    settings = {
        "DATABASE_URL": database_url,
        "PYTHONPATH": str(ROOT),
        "WORKER_STALL_TIMEOUT": str(STALL_SECONDS),
    }
    command = [sys.executable, "-m", "tests.e2e.workers.blocking", *arguments]
    program = spawn(command, folder, settings)
    try:
        yield program
    finally:
        program.end()


@contextmanager
def asked(program: Program, way: str) -> Iterator[None]:
    """Send the request, and do not wait for an answer."""
    with connected(program.port) as connection:
        connection.sendall(REQUEST % f"/api/v1/trial/{way}".encode())
        yield


@pytest.mark.parametrize(("way", "function"), [("spin", "spin"), ("compute-in-c", "compute_in_c")])
def test_a_worker_whose_loop_stands_still_is_replaced_and_its_stack_is_logged(
    tmp_path: Path, database_url: str, way: str, function: str
) -> None:
    with blocking(tmp_path, database_url, "--workers", "2") as program:
        wait_until_serving(program)
        before = pids(program)
        with asked(program, way):
            found = program.wait_for(r"Worker stalled.* worker=(\d) process=(\d+) seconds=2")
            stalled, process = int(found[1]), int(found[2])
            program.wait_for(rf"File .*blocking\.py.* in {function}$")
            assert wait_for_worker(program, stalled) != process

        assert before[stalled] == process
        assert pids(program)[1 - stalled] == before[1 - stalled]
        assert [status_of(program.port) for _ in range(20)] == [404] * 20
        program.signal()
        assert program.exit_code() == 0


def test_workers_that_were_stopped_with_their_parent_are_not_replaced(
    tmp_path: Path, database_url: str
) -> None:
    with blocking(tmp_path, database_url, "--workers", "2") as program:
        wait_until_serving(program)
        processes = [*pids(program).values(), program.pid]
        for number in (signal.SIGSTOP, signal.SIGCONT):
            for pid in processes:
                os.kill(pid, number)
            time.sleep(STALL_SECONDS + 2)  # How long nothing may happen is what is tested.

        assert {status_of(port, "/health") for port in admin_ports(program).values()} == {200}
        program.signal()
        assert program.exit_code() == 0
    assert "stalled" not in program.output
    assert "blocked" not in program.output


def test_one_process_logs_where_its_loop_stands_still_and_how_long_it_did(
    tmp_path: Path, database_url: str
) -> None:
    with blocking(tmp_path, database_url) as program:
        program.wait_until_listening()
        with asked(program, "sleep"):
            program.wait_for(r"WARNING .*Event loop blocked seconds=1\.")
            program.wait_for(r"File .*blocking\.py.* in Blocking\.sleep$")
            seconds = program.wait_for(r"WARNING .*Event loop runs again seconds=([\d.]+)")[1]
        program.signal()

        assert program.exit_code() == 0
        assert 1.5 <= float(seconds) < 12
        assert program.output.count("Event loop") == 2

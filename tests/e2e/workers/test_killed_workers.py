"""What becomes of a worker's place, and of who waits for it, when the worker is killed."""

import os
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPResponse
from pathlib import Path

import pytest

from platform_infrastructure.postgres.embedded import EmbeddedPostgres
from tests.e2e.workers.load import REQUEST, load
from tests.e2e.workers.processes import (
    NO_SUCH_PATH,
    lives,
    pids,
    serving,
    spare_of,
    status_of,
    wait_for_worker,
    wait_until,
    wait_until_loaded,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="Not supported there."),
]
linux = pytest.mark.skipif(sys.platform != "linux", reason="finds processes through /proc")


def asked(port: int) -> socket.socket:
    """Return a connection on which a request was sent."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection.sendall(REQUEST % NO_SUCH_PATH.encode())
    return connection


def answer_to(connection: socket.socket) -> int | None:
    """Return the status, or None when the connection ends without an answer."""
    with suppress(ConnectionError), HTTPResponse(connection, method="GET") as response:
        response.begin()
        return response.status
    return None


@linux
def test_a_killed_worker_is_back_soon_and_the_others_answer_meanwhile(
    tmp_path: Path, database_url: str
) -> None:
    with serving(tmp_path, DATABASE_URL=database_url) as program:
        wait_until_loaded(spare_of(program))
        victim = pids(program)[0]
        with load(program.port, NO_SUCH_PATH, lasting=2, single=2) as clients:
            began = time.monotonic()
            os.kill(victim, signal.SIGKILL)
            process = wait_for_worker(program, 0)
            away = time.monotonic() - began
            wait_until(lambda: clients.outcomes["404"] > 100)

        assert process != victim
        assert "ended with signal SIGKILL" in program.output
        assert away < 2.0
        assert clients.outcomes["unanswered"] <= 4, "what the killed one had begun, one a client"
        assert clients.outcomes["refused"] == 0
        assert clients.slowest < 2.0


@linux
def test_what_waits_for_a_killed_worker_is_answered_by_the_one_that_takes_its_place(
    tmp_path: Path, database_url: str
) -> None:
    with serving(tmp_path, DATABASE_URL=database_url) as program, ExitStack() as open_ones:
        wait_until_loaded(spare_of(program))
        victim = pids(program)[0]
        os.kill(victim, signal.SIGSTOP)
        asking = [open_ones.enter_context(asked(program.port)) for _ in range(40)]

        os.kill(victim, signal.SIGKILL)

        assert [answer_to(connection) for connection in asking] == [404] * 40


@linux
def test_a_killed_worker_is_replaced_by_one_that_waited_already_and_another_one_waits(
    tmp_path: Path, database_url: str
) -> None:
    with serving(tmp_path, DATABASE_URL=database_url) as program:
        first = spare_of(program)
        os.kill(pids(program)[0], signal.SIGKILL)
        assert wait_for_worker(program, 0) == first

        second = spare_of(program)
        os.kill(pids(program)[1], signal.SIGKILL)
        assert wait_for_worker(program, 1) == second


@linux
def test_a_reload_does_not_give_work_to_who_has_loaded_the_code_of_before(
    tmp_path: Path, database_url: str
) -> None:
    with serving(tmp_path, DATABASE_URL=database_url) as program:
        spare = spare_of(program)
        program.signal(signal.SIGHUP)
        program.wait_for("All workers are new")

        assert spare not in pids(program).values()
        assert not lives(spare)


@linux
def test_a_spare_that_was_killed_is_replaced_as_well(tmp_path: Path, database_url: str) -> None:
    with serving(tmp_path, DATABASE_URL=database_url) as program:
        spare = spare_of(program)
        os.kill(spare, signal.SIGKILL)
        program.wait_for(rf"The spare worker \(process {spare}\) ended with signal SIGKILL")
        assert spare_of(program) != spare

        os.kill(spare_of(program), signal.SIGKILL)
        os.kill(pids(program)[0], signal.SIGKILL)
        wait_for_worker(program, 0)

        program.signal()
        assert program.exit_code() == 0


@pytest.mark.parametrize("during_a_reload", [False, True])
def test_who_waits_for_a_killed_worker_does_not_wait_for_a_database_as_well(
    tmp_path: Path, during_a_reload: bool
) -> None:
    with (
        EmbeddedPostgres(tmp_path / "postgres") as postgres,
        serving(tmp_path, DATABASE_URL=postgres.url) as program,
        ExitStack() as open_ones,
    ):
        victim = pids(program)[0]
        with stopped(postgres.pid):
            if during_a_reload:
                program.signal(signal.SIGHUP)
                program.wait_for("Replacing the 2 workers")
            os.kill(victim, signal.SIGSTOP)
            asking = [open_ones.enter_context(asked(program.port)) for _ in range(40)]
            os.kill(victim, signal.SIGKILL)
            outcomes = Counter(map(answer_to, asking))  # Fails when one waits for 10 s.
            program.wait_for("Nobody took the place of worker 0 in 2 s")
            afterwards = {status_of(program.port) for _ in range(20)}
        wait_for_worker(program, 0)

        assert set(outcomes) == {404, None}
        assert afterwards == {404}


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_worker_that_ends_again_and_again_is_tried_until_it_stays(
    tmp_path: Path, database_url: str
) -> None:
    with serving(tmp_path, DATABASE_URL=database_url) as program:
        (tmp_path / ".env").write_text("LOG_LEVEL=LOUD\n")
        os.kill(pids(program)[1], signal.SIGKILL)
        program.wait_for("Worker 1 starts again in 0 s")
        program.wait_for("Worker 1 starts again in 0.5 s")
        for _ in range(20):
            assert status_of(program.port) == 404, "nobody is sent to the one that is not there"

        (tmp_path / ".env").unlink()
        wait_for_worker(program, 1)

        program.signal()
        assert program.exit_code() == 0

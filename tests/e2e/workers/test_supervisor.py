"""`serve --workers N`, seen from outside: real processes, signals and connections."""

import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest

from platform_api.server.signals import ECHO_SECONDS
from tests.e2e.test_serve import create, wait_until_blocked
from tests.e2e.workers.load import load
from tests.e2e.workers.processes import (
    NO_SUCH_PATH,
    READY,
    admin_ports,
    lives,
    pids,
    serving,
    spare_of,
    started,
    status_of,
    wait_for_worker,
    wait_until,
    wait_until_gone,
    wait_until_loaded,
)
from tests.processes import Program

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="Not supported there."),
]


def test_both_workers_answer_and_say_who_they_are(tmp_path: Path, database_url: str) -> None:
    with serving(tmp_path, DATABASE_URL=database_url) as program:
        for _ in range(40):
            assert status_of(program.port) == 404
        admins = [status_of(port, "/health") for port in admin_ports(program).values()]
        processes = pids(program)
        program.signal()

        assert program.exit_code() == 0
        answered = [line for line in program.seen if NO_SUCH_PATH in line]
        assert len(answered) == 40
        assert all(any(f"worker={k}" in line for line in answered) for k in (0, 1))
        assert admins == [200, 200]
        assert len({os.getpid(), *processes.values()}) == 3
        assert program.output.count("Platform 0.") == 1
        assert "Traceback" not in program.output


def two_free_ports() -> int:
    """Return the first of two free ports that follow one another, below those the system gives."""
    for first in random.sample(range(20_000, 32_000), 1000):
        with suppress(OSError), socket.create_server(("127.0.0.1", first)):
            socket.create_server(("127.0.0.1", first + 1)).close()
            return first
    raise AssertionError("There are no two free ports.")


def test_admin_ports_follow_one_another(tmp_path: Path, database_url: str) -> None:
    first = two_free_ports()
    with serving(tmp_path, DATABASE_URL=database_url, ADMIN_PORT=str(first)) as program:
        assert admin_ports(program) == {0: first, 1: first + 1}


def test_a_newcomer_needs_no_database_for_several_workers_either(tmp_path: Path) -> None:
    with serving(tmp_path) as program:
        created = [create(program, f"Storyboard {number}").status_code for number in range(8)]
        program.signal()

        assert program.exit_code() == 0
        assert created == [201] * 8
        assert program.output.count("Started a PostgreSQL") == 1
        migrated = [line.split("Migrated: ")[1] for line in program.seen if "Migrated: " in line]
        assert len(set(migrated)) == len(migrated) > 0


def test_a_stop_under_load_answers_what_was_sent_and_ends_cleanly(
    tmp_path: Path, fresh_database_url: str
) -> None:
    answers: list[httpx2.Response] = []
    with (
        psycopg.connect(fresh_database_url) as holder,
        serving(tmp_path, DATABASE_URL=fresh_database_url, DATABASE_LOCK_TIMEOUT="5") as program,
    ):
        holder.execute("LOCK TABLE projects")
        asking = threading.Thread(target=lambda: answers.append(create(program, "Storyboard")))
        asking.start()
        wait_until_blocked(fresh_database_url)
        with load(program.port, NO_SUCH_PATH) as clients:
            program.signal()
            program.wait_for("Drained in")
            holder.rollback()
            assert program.exit_code() == 0
        asking.join(10)

    assert [answer.status_code for answer in answers] == [201]
    assert clients.outcomes["unanswered"] == 0
    assert clients.outcomes["404"] > 0


def test_a_second_signal_kills_all_at_once(tmp_path: Path, fresh_database_url: str) -> None:
    with (
        psycopg.connect(fresh_database_url) as holder,
        serving(tmp_path, DATABASE_URL=fresh_database_url, DATABASE_LOCK_TIMEOUT="5") as program,
    ):
        holder.execute("LOCK TABLE projects")
        asking = threading.Thread(target=_create_in_vain, args=(program,))
        asking.start()
        wait_until_blocked(fresh_database_url)
        program.signal(signal.SIGINT)
        program.wait_for("Draining: 1 requests")
        time.sleep(ECHO_SECONDS + 0.1)  # The length of the echo is what is tested.

        program.signal(signal.SIGINT)

        assert wait_until_gone(program, within=2) == 130
        asking.join(10)


def _create_in_vain(program: Program) -> None:
    with suppress(httpx2.TransportError):
        create(program, "Storyboard")


def test_signals_to_the_whole_group_do_not_count_twice(tmp_path: Path, database_url: str) -> None:
    with serving(tmp_path, DATABASE_URL=database_url, SHUTDOWN_DELAY="1.2") as program:
        for pid in pids(program).values():
            os.kill(pid, signal.SIGTERM)
        program.wait_for("Draining")
        time.sleep(ECHO_SECONDS + 0.1)  # Longer than the echo that one process would forgive.

        program.signal()

        assert program.exit_code() == 0


def test_workers_that_cannot_start_end_the_start_with_the_cause(tmp_path: Path) -> None:
    url = "postgresql://app:hunter2@127.0.0.1:1/app"
    with started(tmp_path, DATABASE_URL=url, DATABASE_CONNECT_DEADLINE="0.5") as program:
        assert program.exit_code() == 1

    assert program.output.count("127.0.0.1:1/app cannot be used") == 1
    assert "Worker 0 (process" in program.output
    assert "ended with exit code 1 before it was ready" in program.output
    assert "Traceback" not in program.output


@pytest.mark.parametrize("name", ["PORT", "ADMIN_PORT"])
def test_a_taken_port_is_told_before_anything_starts(tmp_path: Path, name: str) -> None:
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as taken:
        port = taken.getsockname()[1]
        with started(tmp_path, DATABASE_URL="postgresql://nobody@db/x", **{name: str(port)}) as it:
            assert it.exit_code() == 1

    assert f"127.0.0.1:{port} is already in use" in it.output
    assert "worker=" not in it.output


def test_bad_settings_are_told_once(tmp_path: Path) -> None:
    with started(tmp_path, 65, LOG_LEVEL="LOUD") as program:
        assert program.exit_code() == 1

    assert "WORKERS" in program.output
    assert program.output.count('found:    "LOUD"') == 1


def test_a_killed_parent_leaves_nobody_behind(tmp_path: Path, database_url: str) -> None:
    with serving(tmp_path, DATABASE_URL=database_url) as program:
        if sys.platform == "linux":  # A spare ends only after its imports, which can take seconds.
            wait_until_loaded(spare_of(program))
        program.signal(signal.SIGKILL)

        assert wait_until_gone(program, within=3) == -signal.SIGKILL
        assert program.output.count("Drained in") == 2


def test_a_reload_under_load_replaces_all_and_fails_no_request(
    tmp_path: Path, database_url: str
) -> None:
    # With a delay before a stop, which is not for those who are replaced.
    with serving(tmp_path, DATABASE_URL=database_url, SHUTDOWN_DELAY="30") as program:
        before = pids(program)
        ports = admin_ports(program)
        with load(program.port, NO_SUCH_PATH) as clients:
            program.signal(signal.SIGHUP)
            program.wait_for("All workers are new")
        after = pids(program)

        assert set(before) == set(after)
        assert set(before.values()).isdisjoint(after.values())
        assert not any(map(lives, before.values()))
        assert admin_ports(program) == ports
        assert clients.outcomes["unanswered"] == 0
        assert clients.outcomes["refused"] == 0
        assert clients.outcomes["404"] > 100
        insist(program)  # Else the workers would stay for their delay.


def insist(program: Program) -> None:
    program.signal()
    program.wait_for("Draining")
    time.sleep(ECHO_SECONDS + 0.1)
    program.signal()
    assert wait_until_gone(program, within=2) == 130


def test_a_reload_reads_the_settings_anew_and_stops_at_bad_ones(
    tmp_path: Path, database_url: str
) -> None:
    origin = {"origin": "https://app.example.com"}
    with serving(tmp_path, DATABASE_URL=database_url) as program:
        (tmp_path / ".env").write_text("LOG_LEVEL=LOUD\n")
        program.signal(signal.SIGHUP)
        program.wait_for("The workers that are left go on")
        assert "LOG_LEVEL (from .env line 1)" in program.output
        assert status_of(program.port) == 404

        (tmp_path / ".env").write_text('CORS_ORIGINS="https://app.example.com"\n')
        program.signal(signal.SIGHUP)
        program.wait_for("All workers are new")
        answer = httpx2.get(f"http://127.0.0.1:{program.port}{NO_SUCH_PATH}", headers=origin)

    assert answer.headers["access-control-allow-origin"] == origin["origin"]


def test_a_failed_reload_shows_in_health_until_one_succeeds(
    tmp_path: Path, database_url: str
) -> None:
    with serving(tmp_path, DATABASE_URL=database_url) as program:
        assert reload_in_health(program) == [("up", "up", None)] * 2

        (tmp_path / ".env").write_text("LOG_LEVEL=LOUD\n")
        program.signal(signal.SIGHUP)
        program.wait_for("The workers that are left go on")
        wait_until(
            lambda: [each[:2] for each in reload_in_health(program)] == [("degraded",) * 2] * 2
        )
        for _, _, problem in reload_in_health(program):
            assert re.search(r"Worker 0 .* ended with exit code 1 before it was ready", problem)

        (tmp_path / ".env").unlink()
        os.kill(pids(program)[1], signal.SIGKILL)
        wait_for_worker(program, 1)
        wait_until(lambda: reload_in_health(program)[1][0] == "degraded")

        program.signal(signal.SIGHUP)
        program.wait_for("All workers are new")
        wait_until(lambda: reload_in_health(program) == [("up", "up", None)] * 2)


def reload_in_health(program: Program) -> list[tuple[str, str, Any]]:
    """Return for each worker the status of all, that of the last reload, and its problem."""
    reports = [
        httpx2.get(f"http://127.0.0.1:{port}/health").json()
        for _, port in sorted(admin_ports(program).items())
    ]
    return [
        (report["status"], check["status"], check["problem"])
        for report in reports
        for check in report["dependencies"]
        if check["name"] == "reload"
    ]


def test_a_stop_comes_at_once_while_a_worker_waits_for_its_next_start(
    tmp_path: Path, database_url: str
) -> None:
    with serving(tmp_path, DATABASE_URL=database_url) as program:
        (tmp_path / ".env").write_text("LOG_LEVEL=LOUD\n")
        os.kill(pids(program)[1], signal.SIGKILL)
        program.wait_for("Worker 1 starts again in 0.5 s")

        program.signal()

        assert wait_until_gone(program, within=3) == 0


def test_a_stop_during_the_start_is_clean(tmp_path: Path, database_url: str) -> None:
    with started(tmp_path, DATABASE_URL=database_url) as program:
        program.wait_for(READY)
        program.signal()

        assert program.exit_code() == 0
        assert "workers serve" not in program.output


def test_a_worker_that_does_not_stop_is_killed_and_the_exit_code_says_so(
    tmp_path: Path, database_url: str
) -> None:
    no_time = {f"SHUTDOWN_{name}_TIMEOUT": "0" for name in ("REQUESTS", "SOCKETS", "STOP")}
    with serving(tmp_path, DATABASE_URL=database_url, **no_time) as program:
        os.kill(pids(program)[0], signal.SIGSTOP)

        program.signal()

        assert program.exit_code() == 70
        assert "Worker 0 ended with signal SIGKILL" in program.output
        assert "Worker 1 ended with exit code 0" in program.output


def test_what_supervises_loads_no_server_and_no_driver() -> None:
    script = (
        "import sys, platform_api.serve, platform_api.server.workers.supervisor\n"
        "import platform_infrastructure.logging, platform_infrastructure.postgres.embedded\n"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    loaded = subprocess.check_output([sys.executable, "-c", script], text=True).split()

    assert {"asyncio", "loguru"} <= set(loaded)
    assert {"starlette", "hypercorn", "psycopg", "uvloop"}.isdisjoint(loaded)

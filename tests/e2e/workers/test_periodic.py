"""Periodic work on several processes and a real PostgreSQL: once per deployment, or per process."""

import os
import signal
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from platform_infrastructure.postgres.leadership import LOCK
from tests.e2e.workers.processes import pids, serving, wait_for_worker, wait_until
from tests.infrastructure.postgres.connections import ask
from tests.processes import Program, started

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="Sends POSIX signals."),
]

PATIENCE_SECONDS = 60.0
"""Another process leads after 2 to 5 s."""
HOLDERS = (
    "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted"
    f" AND (classid::bigint << 32) + objid::bigint = {LOCK}"
)
TERMINATE = f"SELECT count(pg_terminate_backend(pid)) FROM ({HOLDERS}) AS holders"
EXPIRED = "SELECT count(*) FROM idempotency_keys"
EXPIRE = "INSERT INTO idempotency_keys VALUES ('a', 'b', 'c', '', 204, NULL, '', now())"


@dataclass
class Deployment:
    """Two processes with the same periodic work."""

    programs: dict[int, Program]
    journal: Path

    def runs(self) -> dict[int, list[tuple[float, float]]]:
        """Return when the runs of each process began and ended. One without an end is left out."""
        times: dict[int, list[float]] = defaultdict(list)
        for line in self.journal.read_text(encoding="utf-8").splitlines():
            pid, _, moment = line.split()
            times[int(pid)].append(float(moment))
        return {pid: list(zip(t[::2], t[1::2], strict=False)) for pid, t in times.items()}

    def leader(self) -> int:
        """Wait until there is one, and return its process."""
        wait_until(lambda: "began" in self.journal.read_text(encoding="utf-8"), PATIENCE_SECONDS)
        return int(self.journal.read_text(encoding="utf-8").split()[0])

    def assert_no_overlap(self) -> None:
        runs = sorted(run for of_one in self.runs().values() for run in of_one)
        assert runs
        for (_, ended), (began, _) in pairwise(runs):
            assert ended <= began


@contextmanager
def deployed(url: str, folder: Path, **options: object) -> Iterator[Deployment]:
    journal = folder / "journal"
    journal.touch()
    with ExitStack() as leaving:
        programs = [
            leaving.enter_context(
                started("tests.e2e.workers.periodic", url=url, journal=str(journal), **options)
            )
            for _ in range(2)
        ]
        yield Deployment({program.pid: program for program in programs}, journal)


def test_one_of_two_processes_runs_it_and_the_other_goes_on_when_that_one_is_killed(
    tmp_path: Path, database_url: str
) -> None:
    with deployed(database_url, tmp_path) as deployment:
        leader = deployment.leader()
        wait_until(lambda: len(deployment.runs()[leader]) >= 5, PATIENCE_SECONDS)
        assert deployment.runs().keys() == {leader}

        deployment.programs[leader].signal(signal.SIGKILL)
        wait_until(lambda: len(deployment.runs()) == 2, PATIENCE_SECONDS)

        deployment.programs[leader].exit_code()
        (other,) = deployment.programs.keys() - {leader}
        wait_until(lambda: len(deployment.runs()[other]) >= 2, PATIENCE_SECONDS)
        deployment.assert_no_overlap()


def test_a_run_is_cancelled_when_its_lock_is_lost_before_the_next_begins(
    tmp_path: Path, database_url: str
) -> None:
    with deployed(database_url, tmp_path, seconds=600) as deployment:
        leader = deployment.leader()

        assert ask(database_url, TERMINATE) == [(1,)]
        wait_until(
            lambda: deployment.journal.read_text(encoding="utf-8").count("began") == 2,
            PATIENCE_SECONDS,
        )

        for program in deployment.programs.values():
            program.signal()
            assert program.exit_code() == 0
        assert "Periodic tasks end here: the lock was lost" in deployment.programs[leader].output
        deployment.assert_no_overlap()
        assert sum(map(len, deployment.runs().values())) == 2


def test_of_the_workers_of_a_server_one_leads_and_another_replaces_it(
    tmp_path: Path, fresh_database_url: str
) -> None:
    url = fresh_database_url
    ask(url, EXPIRE)
    with serving(tmp_path, DATABASE_URL=url) as program:
        wait_until(lambda: ask(url, EXPIRED) == [(0,)], PATIENCE_SECONDS)
        (leading,) = ask(url, HOLDERS)

        ask(url, EXPIRE)
        for number, pid in pids(program).items():
            if ask(url, HOLDERS) == [leading]:
                os.kill(pid, signal.SIGKILL)
                wait_for_worker(program, number)

        wait_until(lambda: ask(url, EXPIRED) == [(0,)], PATIENCE_SECONDS)
        assert len(ask(url, HOLDERS)) == 1

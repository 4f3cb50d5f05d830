"""`platform migrate` as real processes: several at once, killed, stopped, in the way of others."""

import signal
import sys
from pathlib import Path

import psycopg
import pytest

from tests.e2e.migrating import migrators, own_code
from tests.e2e.serve import run
from tests.infrastructure.postgres.connections import ask, backends, impatient

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="Sends POSIX signals."),
]

VERSIONS = "SELECT version FROM schema_migrations ORDER BY version"
INDEX = "-- migrate:up transaction:false\nCREATE INDEX CONCURRENTLY {how} a_a_idx ON a (a);\n"
MIGRATIONS = {
    "1_a.sql": "-- migrate:up\nCREATE TABLE a AS SELECT a FROM generate_series(1, 1000) AS a;\n",
    "2_i.sql": INDEX.format(how=""),
    "3_b.sql": "-- migrate:up\nALTER TABLE a ADD b int;\n",
    "4_j.sql": "-- migrate:up transaction:false\nCREATE INDEX CONCURRENTLY a_b_idx ON a (b);\n",
}


def test_many_migrators_at_once_all_end_well(tmp_path: Path, empty_database_url: str) -> None:
    code = own_code(tmp_path, MIGRATIONS)
    with psycopg.connect(empty_database_url) as older:
        older.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        older.execute("SELECT 1")
        with migrators(tmp_path, 4, DATABASE_URL=empty_database_url, **code) as programs:
            backends(empty_database_url, "CREATE INDEX CONCURRENTLY", wait="Lock")
            backends(empty_database_url, "advisory_lock", count=3)
            older.commit()
            codes = [program.exit_code() for program in programs]

    assert codes == [0] * 4, [program.output for program in programs]
    output = "\n".join(program.output for program in programs)
    assert sorted(line for line in output.splitlines() if line.startswith("applied")) == [
        f"applied {name}" for name in MIGRATIONS
    ]
    assert ask(empty_database_url, VERSIONS) == [("1",), ("2",), ("3",), ("4",)]
    assert ask(empty_database_url, "SELECT count(*) FROM pg_index WHERE NOT indisvalid") == [(0,)]


def test_an_index_of_a_migrator_that_was_killed_is_refused_by_all_until_it_is_dropped(
    tmp_path: Path, empty_database_url: str
) -> None:
    code = own_code(tmp_path, MIGRATIONS | {"2_i.sql": INDEX.format(how="IF NOT EXISTS")})
    settings = code | {"DATABASE_URL": empty_database_url}
    with psycopg.connect(empty_database_url) as older:
        older.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        older.execute("SELECT 1")
        with migrators(tmp_path, 1, **settings) as [killed]:
            [backend] = backends(empty_database_url, "CREATE INDEX CONCURRENTLY", wait="Lock")
            with migrators(tmp_path, 2, **settings) as others:
                backends(empty_database_url, "advisory_lock", count=2)
                killed.end()
                for program in others:
                    program.wait_for(rf"A migration waits for another.*pid={backend}")
                ask(empty_database_url, "SELECT pg_terminate_backend(%s)", backend)
                codes = [program.exit_code() for program in others]

    assert codes == [1] * 2
    for program in others:
        assert "2_i.sql is not recorded. The index public.a_a_idx is invalid" in program.output
    assert ask(empty_database_url, VERSIONS) == [("1",)]
    ask(empty_database_url, "DROP INDEX CONCURRENTLY public.a_a_idx")
    assert run("platform", "migrate", folder=tmp_path, **settings)[0] == 0
    assert len(ask(empty_database_url, VERSIONS)) == 4


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_cancels_the_statement_on_the_server(
    tmp_path: Path, empty_database_url: str, number: signal.Signals
) -> None:
    code = own_code(tmp_path, {"1_a.sql": "-- migrate:up\nSELECT pg_sleep(600);\n"})
    with migrators(tmp_path, 1, DATABASE_URL=empty_database_url, **code) as [program]:
        [backend] = backends(empty_database_url, "pg_sleep(600)")
        program.signal(number)
        assert program.exit_code() == 128 + number

    assert "Traceback" not in program.output
    query = "SELECT state FROM pg_stat_activity WHERE pid = %s AND state = 'active'"
    assert ask(empty_database_url, query, backend) == []
    assert ask(empty_database_url, VERSIONS) == []


def test_readers_go_on_while_a_migration_waits_for_a_lock(
    tmp_path: Path, empty_database_url: str
) -> None:
    code = own_code(tmp_path, {"1_a.sql": "-- migrate:up\nALTER TABLE a ADD b int;\n"})
    ask(empty_database_url, "CREATE TABLE a (a int)")
    settings = code | {"DATABASE_URL": empty_database_url, "DATABASE_LOCK_TIMEOUT": "0.8"}
    with (
        psycopg.connect(empty_database_url, application_name="nightly report") as holder,
        migrators(tmp_path, 1, **settings) as [program],
    ):
        holder.execute("SELECT count(*) FROM a")
        backends(empty_database_url, "ALTER TABLE a", wait="Lock")
        # It queues behind the ALTER, which gives way although the holder stays.
        assert ask(impatient(empty_database_url), "SELECT a FROM a") == []
        blocked = program.wait_for("A migration waits for a lock").string
        program.wait_for("A migration did not get its locks and is tried again.*1_a.sql")
        pid = holder.info.backend_pid
        holder.commit()
        assert program.exit_code() == 0

    assert f"pid={pid}" in blocked
    assert "nightly report" in blocked
    assert "SELECT count(*) FROM a" in blocked
    assert ask(empty_database_url, "SELECT b FROM a") == []

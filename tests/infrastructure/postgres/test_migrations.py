import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
from loguru import logger

from platform_infrastructure.postgres.migrations import (
    MigrationInvalid,
    MigrationRefused,
    applied,
    migrate,
    migrations,
    missing,
    unknown,
)
from tests.infrastructure.postgres.connections import ask, backends, impatient

pytestmark = pytest.mark.anyio


VERSIONS = "SELECT version FROM schema_migrations ORDER BY version"
UNIQUE = "-- migrate:up{option}\nCREATE UNIQUE INDEX {how} a_a_key ON a (a);\n"


@pytest.fixture
def log() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    lines: list[tuple[str, dict[str, Any]]] = []
    sink = logger.add(
        lambda message: lines.append((message.record["message"], message.record["extra"])),
        level="WARNING",
    )
    yield lines
    logger.remove(sink)


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)


def ignore(names: Sequence[str]) -> None:
    """Stands for a developer who goes on in spite of changed files."""


async def test_migrations_are_applied_once_and_in_order(
    tmp_path: Path, empty_database_url: str
) -> None:
    write(tmp_path, "2_b.sql", "-- migrate:up\nALTER TABLE a ADD b int;\n")
    write(tmp_path, "1_a.sql", "-- migrate:up\nCREATE TABLE a (a int);\n-- migrate:down\nDROP x;\n")

    assert await migrate(empty_database_url, tmp_path) == ["1_a.sql", "2_b.sql"]
    assert await migrate(empty_database_url, tmp_path) == []
    assert ask(empty_database_url, "SELECT a, b FROM a") == []
    assert ask(empty_database_url, "SELECT version FROM schema_migrations") == [("1",), ("2",)]


async def test_a_migration_that_fails_leaves_nothing_of_itself(
    tmp_path: Path, empty_database_url: str
) -> None:
    write(tmp_path, "1_a.sql", "-- migrate:up\nCREATE TABLE a (a int);\n")
    write(tmp_path, "2_b.sql", "-- migrate:up\nCREATE TABLE b (b int);\nSELECT 1/0;\n")

    with pytest.raises(psycopg.errors.DivisionByZero):
        await migrate(empty_database_url, tmp_path)

    assert ask(empty_database_url, "SELECT to_regclass('a')::text, to_regclass('b')::text") == [
        ("a", None)
    ]
    assert ask(empty_database_url, "SELECT version FROM schema_migrations") == [("1",)]


async def test_a_migration_may_stand_outside_a_transaction(
    tmp_path: Path, empty_database_url: str
) -> None:
    write(tmp_path, "1_a.sql", "-- migrate:up\nCREATE TABLE a (a int);\n")
    write(
        tmp_path,
        "2_b.sql",
        "-- migrate:up transaction:false\nCREATE INDEX CONCURRENTLY a_a_idx ON a (a);\n",
    )

    await migrate(empty_database_url, tmp_path)

    assert ask(empty_database_url, "SELECT to_regclass('a_a_idx')::text") == [("a_a_idx",)]


async def test_many_at_once_apply_each_migration_once(
    tmp_path: Path, empty_database_url: str
) -> None:
    write(tmp_path, "1_a.sql", "-- migrate:up\nSELECT pg_sleep(0.1); CREATE TABLE a (a int);\n")

    results = await asyncio.gather(*(migrate(empty_database_url, tmp_path) for _ in range(4)))

    assert sorted(results) == [[], [], [], ["1_a.sql"]]


async def test_many_at_once_do_not_deadlock_while_one_builds_an_index_concurrently(
    tmp_path: Path, empty_database_url: str
) -> None:
    """It waits for every older snapshot, and none that waits for its turn may hold one."""
    write(tmp_path, "1_a.sql", "-- migrate:up\nCREATE TABLE a (a int);\n")
    await migrate(empty_database_url, tmp_path)
    index = "-- migrate:up transaction:false\nCREATE INDEX CONCURRENTLY a_a_idx ON a (a);\n"
    write(tmp_path, "2_b.sql", index)
    write(tmp_path, "3_c.sql", "-- migrate:up\nALTER TABLE a ADD b int;\n")
    with psycopg.connect(empty_database_url) as older:
        older.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        older.execute("SELECT 1")
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(migrate(empty_database_url, tmp_path)) for _ in range(4)]
            await asyncio.to_thread(
                backends, empty_database_url, "CREATE INDEX CONCURRENTLY", wait="Lock"
            )
            await asyncio.to_thread(backends, empty_database_url, "advisory_lock", count=3)
            older.commit()

    done = [name for task in running for name in task.result()]
    assert sorted(done) == ["2_b.sql", "3_c.sql"]
    assert ask(
        empty_database_url, "SELECT indisvalid FROM pg_index WHERE indrelid = 'a'::regclass"
    ) == [(True,)]


@pytest.mark.parametrize("option", ["", " transaction:false"])
async def test_what_a_file_sets_ends_with_the_file(
    tmp_path: Path, empty_database_url: str, option: str
) -> None:
    settings = [
        "CREATE SCHEMA other; SET search_path TO other",
        "SELECT set_config('search_path', '', false)",
        "SET ROLE pg_monitor",
        "SET SESSION AUTHORIZATION pg_monitor",
        "SELECT pg_advisory_unlock_all()",
        "SET default_transaction_read_only = on",
        "CREATE TEMP TABLE schema_migrations (version text)",
        "SET client_encoding = 'LATIN1'",
        "SET statement_timeout = 100",
    ]
    for number, statement in enumerate(settings):
        write(tmp_path, f"{number}1_a.sql", f"-- migrate:up{option}\n{statement};\n")
        table = f"CREATE TABLE t{number} AS SELECT 'ü' AS t FROM pg_sleep({number // 8 * 0.2})"
        write(tmp_path, f"{number}2_b.sql", f"-- migrate:up\n{table};\n")
    names = [migration.name for migration in migrations(tmp_path)]

    assert await migrate(empty_database_url, tmp_path) == names

    recorded = ask(empty_database_url, "SELECT version FROM public.schema_migrations ORDER BY 1")
    assert recorded == [(name[:2],) for name in names]
    owned = "SELECT count(*) FROM pg_tables WHERE tableowner = current_user AND tablename ~ '^t.$' AND schemaname = 'public'"
    assert ask(empty_database_url, owned) == [(len(settings),)]
    assert ask(empty_database_url, "SELECT t FROM t7") == [("ü",)]
    assert await migrate(empty_database_url, tmp_path) == []


async def test_a_schema_of_the_users_name_hides_no_record(
    tmp_path: Path, empty_database_url: str
) -> None:
    """The default search_path begins with it."""
    named = "DO $$ BEGIN EXECUTE format('CREATE SCHEMA %I', current_user); END $$"
    write(tmp_path, "1_a.sql", f"-- migrate:up\n{named};\n")
    write(tmp_path, "2_b.sql", "-- migrate:up\nSELECT 1;\n")

    assert await migrate(empty_database_url, tmp_path) == ["1_a.sql", "2_b.sql"]
    assert await migrate(empty_database_url, tmp_path) == []


async def test_a_file_that_would_part_the_record_from_the_schema_touches_nothing(
    tmp_path: Path, empty_database_url: str
) -> None:
    write(tmp_path, "1_a.sql", "-- migrate:up\nCREATE TABLE a (a int);\n")
    write(tmp_path, "2_b.sql", "-- migrate:up\nCREATE TABLE b (b int);\nROLLBACK;\n")

    with pytest.raises(MigrationInvalid, match=r"2_b\.sql:3"):
        await migrate(empty_database_url, tmp_path)

    assert ask(
        empty_database_url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
    ) == [(0,)]


async def test_a_statement_that_fails_is_named_with_file_and_line(
    tmp_path: Path, empty_database_url: str
) -> None:
    write(tmp_path, "1_a.sql", "-- A comment.\n-- migrate:up\nSELECT 1;\nSELECT nothing;\n")

    with pytest.raises(psycopg.errors.UndefinedColumn) as raised:
        await migrate(empty_database_url, tmp_path)

    assert raised.value.__notes__ == ["1_a.sql:4"]


async def test_the_settings_of_the_database_are_not_those_of_a_migration(
    tmp_path: Path, empty_database_url: str
) -> None:
    name = psycopg.conninfo.conninfo_to_dict(empty_database_url)["dbname"]
    ask(empty_database_url, f"ALTER DATABASE {name} SET statement_timeout = 50")
    ask(empty_database_url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    write(tmp_path, "1_a.sql", "-- migrate:up\nSELECT pg_sleep(0.2);\n")
    write(tmp_path, "2_b.sql", "-- migrate:up transaction:false\nVACUUM;\n")

    assert await migrate(empty_database_url, tmp_path) == ["1_a.sql", "2_b.sql"]


async def test_a_file_without_a_transaction_that_fails_is_refused_with_the_way_out(
    tmp_path: Path, empty_database_url: str
) -> None:
    ask(empty_database_url, "CREATE TABLE a (a int)")
    half = "DO $$ BEGIN INSERT INTO a VALUES (1); COMMIT; PERFORM 1/0; END $$;"
    write(tmp_path, "1_a.sql", f"-- migrate:up transaction:false\n{half}\n")

    with pytest.raises(MigrationRefused, match=r"^1_a\.sql: division by zero\. .*a part of it may"):
        await migrate(empty_database_url, tmp_path)

    assert ask(empty_database_url, "SELECT a FROM a") == [(1,)]
    assert ask(empty_database_url, VERSIONS) == []


async def test_a_file_without_a_transaction_is_not_repeated_for_a_lock(
    tmp_path: Path, empty_database_url: str
) -> None:
    ask(empty_database_url, "CREATE TABLE a (a int)")
    write(tmp_path, "1_a.sql", "-- migrate:up transaction:false\nALTER TABLE a ADD b int;\n")
    with psycopg.connect(empty_database_url) as holder:
        holder.execute("LOCK TABLE a IN ACCESS SHARE MODE")

        with pytest.raises(MigrationRefused, match=r"1_a\.sql: .*lock timeout"):
            async with asyncio.timeout(30):
                await migrate(empty_database_url, tmp_path, lock_timeout=0.1)

    assert ask(empty_database_url, VERSIONS) == []


@pytest.mark.slow
async def test_a_lock_is_waited_for_in_turns_and_the_log_says_who_has_it(
    tmp_path: Path, empty_database_url: str, log: list[tuple[str, dict[str, Any]]]
) -> None:
    ask(empty_database_url, "CREATE TABLE a (a int)")
    write(tmp_path, "1_a.sql", "-- migrate:up\nALTER TABLE a ADD b int;\n")
    with psycopg.connect(empty_database_url, application_name="nightly report") as holder:
        holder.execute("SELECT count(*) FROM a")
        pid = holder.info.backend_pid
        async with asyncio.TaskGroup() as group:
            running = group.create_task(migrate(empty_database_url, tmp_path, lock_timeout=0.5))
            await asyncio.to_thread(backends, empty_database_url, "ALTER TABLE a", wait="Lock")
            # It queues behind the ALTER, which gives way although the holder stays.
            reader = impatient(empty_database_url)
            assert await asyncio.to_thread(ask, reader, "SELECT a FROM a") == []
            assert not running.done()
            holder.commit()

    assert running.result() == ["1_a.sql"]
    blocked = dict(log)["A migration waits for a lock"]
    assert blocked["pid"] == pid
    assert blocked["application"] == "nightly report"
    assert blocked["query"] == "SELECT count(*) FROM a"
    assert (
        dict(log)["A migration did not get its locks and is tried again"]["migration"] == "1_a.sql"
    )


@pytest.mark.parametrize(
    ("option", "how"), [(" transaction:false", "CONCURRENTLY IF NOT EXISTS"), ("", "IF NOT EXISTS")]
)
async def test_an_invalid_index_is_never_recorded(
    tmp_path: Path, empty_database_url: str, option: str, how: str
) -> None:
    ask(empty_database_url, "CREATE TABLE a AS SELECT 1 AS a FROM generate_series(1, 2)")
    write(tmp_path, "1_a.sql", UNIQUE.format(option=" transaction:false", how="CONCURRENTLY"))
    with pytest.raises(MigrationRefused, match=r"DROP INDEX CONCURRENTLY public\.a_a_key\."):
        await migrate(empty_database_url, tmp_path)
    ask(empty_database_url, "DELETE FROM a")
    write(tmp_path, "1_a.sql", UNIQUE.format(option=option, how=how))

    with pytest.raises(MigrationRefused, match=r"DROP INDEX CONCURRENTLY public\.a_a_key\."):
        await migrate(empty_database_url, tmp_path)

    assert ask(empty_database_url, VERSIONS) == []
    ask(empty_database_url, "DROP INDEX CONCURRENTLY a_a_key")
    assert await migrate(empty_database_url, tmp_path) == ["1_a.sql"]


async def test_an_invalid_index_that_is_none_of_its_business_stops_no_file(
    tmp_path: Path, empty_database_url: str
) -> None:
    ask(empty_database_url, "CREATE TABLE a AS SELECT 1 AS a FROM generate_series(1, 2)")
    with pytest.raises(psycopg.errors.UniqueViolation):
        ask(empty_database_url, "CREATE UNIQUE INDEX CONCURRENTLY a_a_key ON a (a)")
    write(tmp_path, "1_b.sql", "-- migrate:up transaction:false\nCREATE TABLE b (b int);\n")
    write(tmp_path, "2_a.sql", "-- migrate:up\nDROP INDEX a_a_key;\n")

    assert await migrate(empty_database_url, tmp_path) == ["1_b.sql", "2_a.sql"]


async def test_a_file_that_was_changed_after_it_was_applied_is_refused(
    tmp_path: Path, empty_database_url: str
) -> None:
    write(tmp_path, "1_a.sql", "-- migrate:up\nCREATE TABLE a (a int);\n")
    await migrate(empty_database_url, tmp_path)
    write(tmp_path, "1_a.sql", "-- migrate:up\nCREATE TABLE a (a bigint);\n")
    write(tmp_path, "2_b.sql", "-- migrate:up\nCREATE TABLE b (b int);\n")

    with pytest.raises(MigrationRefused, match=r"1_a\.sql: changed .* new file; .*platform reset"):
        await migrate(empty_database_url, tmp_path)

    assert ask(empty_database_url, VERSIONS) == [("1",)]
    assert await migrate(empty_database_url, tmp_path, on_changed=ignore) == ["2_b.sql"]


async def test_a_record_of_dbmate_or_of_an_early_version_gets_its_checksums(
    tmp_path: Path, empty_database_url: str
) -> None:
    ask(empty_database_url, "CREATE TABLE schema_migrations (version varchar(128) PRIMARY KEY)")
    ask(empty_database_url, "INSERT INTO schema_migrations (version) VALUES ('1')")
    write(tmp_path, "1_a.sql", "-- migrate:up\nCREATE TABLE a (a int);\n")

    assert await migrate(empty_database_url, tmp_path) == []
    # As dbmate does, which knows one column.
    ask(empty_database_url, "INSERT INTO schema_migrations (version) VALUES ('2')")
    write(tmp_path, "2_b.sql", "-- migrate:up\nCREATE TABLE b (b int);\n")
    assert await migrate(empty_database_url, tmp_path) == []

    checksums = ask(empty_database_url, "SELECT checksum FROM schema_migrations ORDER BY version")
    assert checksums == [(migration.checksum,) for migration in migrations(tmp_path)]


async def test_a_draft_is_left_until_it_is_written(tmp_path: Path, empty_database_url: str) -> None:
    write(tmp_path, "1_a.sql", "-- migrate:up\n-- Soon.\n-- migrate:down\n")
    assert await migrate(empty_database_url, tmp_path, drafts=True) == []

    write(tmp_path, "1_a.sql", "-- migrate:up\nCREATE TABLE a (a int);\n-- migrate:down\n")

    assert await migrate(empty_database_url, tmp_path, drafts=True) == ["1_a.sql"]
    assert ask(empty_database_url, "SELECT to_regclass('a')::text") == [("a",)]


@pytest.mark.parametrize(
    ("name", "text"), [("a.sql", "-- migrate:up\n"), ("1_a.sql", "CREATE TABLE a (a int);")]
)
def test_a_file_in_another_format_is_refused(tmp_path: Path, name: str, text: str) -> None:
    write(tmp_path, name, text)

    with pytest.raises(MigrationInvalid, match=name):
        migrations(tmp_path)


def test_two_files_of_one_version_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "1_a.sql", "-- migrate:up\n")
    write(tmp_path, "1_b.sql", "-- migrate:up\n")

    with pytest.raises(MigrationInvalid, match=r"1_a\.sql and 1_b\.sql"):
        migrations(tmp_path)


async def test_a_schema_is_behind_or_ahead_of_the_code(
    tmp_path: Path, empty_database_url: str
) -> None:
    write(tmp_path, "1_a.sql", "-- migrate:up\n")
    write(tmp_path, "2_b.sql", "-- migrate:up\n")
    known = migrations(tmp_path)
    async with await psycopg.AsyncConnection.connect(
        empty_database_url, autocommit=True
    ) as connection:
        assert missing(await applied(connection), known) == ["1_a.sql", "2_b.sql"]

        await migrate(empty_database_url, tmp_path)

        assert missing(await applied(connection), known) == []
        assert unknown(await applied(connection), known[:1]) == ["2"]


async def test_our_own_migrations_make_the_schema_the_queries_need(database_url: str) -> None:
    assert ask(database_url, "SELECT count(*) FROM projects") == [(0,)]

import asyncio
from pathlib import Path

import psycopg
import pytest

from platform_infrastructure.postgres.migrations import (
    MigrationInvalid,
    applied,
    migrate,
    migrations,
    missing,
    unknown,
)
from tests.infrastructure.postgres.connections import ask

pytestmark = pytest.mark.anyio


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)


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

"""Which files are migrations: dbmate's grammar, each other file refused with its line."""

import time
from contextlib import suppress
from pathlib import Path

import pytest

from platform_infrastructure.postgres.migration_files import (
    Migration,
    MigrationInvalid,
    migrations,
)

UP = b"-- migrate:up\nCREATE TABLE a (a int);\n"
DOWN = b"-- migrate:down\nDROP TABLE a;\n"


def read(folder: Path, content: bytes, name: str = "1_a.sql") -> Migration:
    (folder / name).write_bytes(content)
    [migration] = migrations(folder)
    return migration


@pytest.mark.parametrize(
    "content",
    [
        UP + DOWN,
        UP,
        (UP + DOWN).replace(b"\n", b"\r\n"),
        (UP + DOWN).replace(b"-- ", b"--"),
        (UP + DOWN).replace(b"-- ", b"--\t"),
        (UP + DOWN).replace(b"-- ", b"--   "),
        (UP + DOWN).replace(b":up", b":up \t").replace(b":down", b":down  "),
        (UP + DOWN)
        .replace(b":up", b":up transaction:true")
        .replace(b":down", b":down\ttransaction:false"),
        b"\n  -- A table.\n\n--\n" + UP + DOWN,
        b"-- See migrate:down for the way back, and migrate up to date data.\n" + UP + DOWN,
    ],
)
def test_what_dbmate_reads_is_read(tmp_path: Path, content: bytes) -> None:
    migration = read(tmp_path, content)

    assert migration.sql.strip() == "CREATE TABLE a (a int);"
    assert migration.in_transaction
    assert content.splitlines()[migration.line - 1].startswith(b"CREATE")


def test_an_option_takes_the_transaction_away(tmp_path: Path) -> None:
    assert not read(tmp_path, b"-- migrate:up transaction:false\nSELECT 1;").in_transaction


def test_an_up_block_may_be_empty_and_the_last_line_without_an_end(tmp_path: Path) -> None:
    for content in (b"-- migrate:up", b"-- migrate:up\n\n-- Later.\n/* more */\n" + DOWN):
        assert read(tmp_path, content).is_empty
    assert not read(tmp_path, UP).is_empty


@pytest.mark.parametrize(
    ("content", "line"),
    [
        # A marker that dbmate does not take for one would let the down block run.
        (UP + b" -- migrate:down\nDROP TABLE a;\n", 3),
        (UP + b"\t--migrate:down\nDROP TABLE a;\n", 3),
        (UP + b"-- MIGRATE:DOWN\nDROP TABLE a;\n", 3),
        (UP + b"-- Migrate:Down\nDROP TABLE a;\n", 3),
        (UP + b"-- migrate: down\nDROP TABLE a;\n", 3),
        (UP + b"-- migrate :down\nDROP TABLE a;\n", 3),
        (UP + b"-- migrate down\nDROP TABLE a;\n", 3),
        (UP + b"--- migrate:down\nDROP TABLE a;\n", 3),
        (UP + b"--\xc2\xa0migrate:down\nDROP TABLE a;\n", 3),
        (UP + b"-- migrate:downwards\nDROP TABLE a;\n", 3),
        (UP + b"-- migrate:down;\nDROP TABLE a;\n", 3),
        (UP + b"/* migrate:down */\nDROP TABLE a;\n", 3),
        (UP + b"/*\n-- migrate:down\n*/\nDROP TABLE a;\n", 3),
        (b"-- migrate:up\nSELECT 1; -- migrate:down\nDROP TABLE a;\n", 2),
        (b"-- migrate:up\nSELECT 1;\r-- migrate:down\rDROP TABLE a;\n", 2),
        (b"-- migrate:up\nSELECT '\n-- migrate:down\n';\n", 3),
        (b"-- migrate:up\nDO $$\n-- migrate:down\n$$;\n", 3),
        # Markers that are wrong themselves.
        (b"-- Migrate:Up\nSELECT 1;\n", 1),
        (b" -- migrate:up\nSELECT 1;\n", 1),
        (b"CREATE TABLE a (a int);\n", 1),
        (DOWN, 1),
        (DOWN + UP, 1),
        (UP + b"-- migrate:up\nSELECT 2;\n", 3),
        (UP + DOWN + b"-- migrate:down\n", 5),
        (UP + DOWN + b"-- migrate:up\n", 5),
        # SQL where none belongs.
        (b"\nSELECT 1;\n" + UP, 2),
        (b"/* A table. */\n" + UP, 1),
        (b"-- migrate:up SELECT 1;\n", 1),
        (b"-- migrate:up transaction:False\n", 1),
        (b"-- migrate:up transaction:false transaction:true\n", 1),
        (b"-- migrate:up wrong:option\n", 1),
        (UP + b"-- migrate:down DROP TABLE a;\n", 3),
        (b"-- migrate:up\rSELECT 1;\r", 1),
        # Text that is none.
        (b"\xef\xbb\xbf" + UP, 1),
        (UP + b"SELECT '\0';\n", 3),
        (UP.decode().encode("utf-16"), 1),
        (UP + b"SELECT 'Z\xfcrich';\n", 3),
        # Literals without an end.
        (b"-- migrate:up\nSELECT 1;\nSELECT 'a;\n", 3),
        (b"-- migrate:up\nSELECT E'a\\';\n", 2),
        (b'-- migrate:up\nSELECT "a;\n', 2),
        (b"-- migrate:up\n/* /* */ SELECT 1;\n", 2),
        (b"-- migrate:up\nDO $a$ BEGIN END $$;\n", 2),
    ],
)
def test_anything_else_is_refused_with_file_and_line(
    tmp_path: Path, content: bytes, line: int
) -> None:
    with pytest.raises(MigrationInvalid, match=rf"^1_a\.sql:{line}: .+\.$"):
        read(tmp_path, content)


@pytest.mark.parametrize(
    "statement",
    [
        "COMMIT",
        "commit work",
        "END",
        "ROLLBACK",
        "ROLLBACK WORK AND CHAIN",
        "ABORT",
        "BEGIN",
        "START TRANSACTION",
        "PREPARE TRANSACTION 'x'",
        "COMMIT PREPARED 'x'",
        "/* x */ COMMIT",
        "-- x\nCOMMIT",
        "SELECT 1 AS case; COMMIT",
        r"SELECT E'\''; COMMIT; SELECT ''",
        "SELECT E'a'\n'\\''; COMMIT; SELECT ''",
        r"SELECT '\'; COMMIT; SELECT ''",
        "SELECT $a$ $b$ $a$; COMMIT; SELECT $b$ $b$",
        "SELECT a$b$c FROM d; COMMIT; SELECT a$b$c",
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; END; COMMIT",
        "CREATE RULE r AS ON INSERT TO a DO (SELECT 1; SELECT 2); COMMIT",
    ],
)
@pytest.mark.parametrize("option", ["", " transaction:false"])
def test_a_file_that_ends_its_transaction_is_refused(
    tmp_path: Path, statement: str, option: str
) -> None:
    text = f"-- migrate:up{option}\nCREATE TABLE a (a int);\n{statement};\n"

    with pytest.raises(MigrationInvalid, match=r"1_a\.sql:\d: .* is not for a migration"):
        read(tmp_path, text.encode())


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 'COMMIT; ROLLBACK;'",
        "SELECT ''';COMMIT;'''",
        r"SELECT E'\';COMMIT;'",
        'SELECT 1 AS "a;COMMIT;"',
        "SELECT U&'d\\0061;COMMIT;'",
        "/* ; COMMIT; /* ; COMMIT; */ ; COMMIT; */ SELECT 1",
        "-- ;COMMIT;\nSELECT 1",
        "DO $$ BEGIN COMMIT; END $$",
        "DO $_a1$ BEGIN COMMIT; $$ ; $$ END $_a1$",
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END",
        "CREATE RULE r AS ON INSERT TO a DO (SELECT 1; SELECT 2)",
        "SAVEPOINT a; ROLLBACK TO a; ROLLBACK WORK TO SAVEPOINT a; RELEASE a",
        "PREPARE a AS SELECT 1",
        "CREATE TABLE begin_end (commit int, rollback int)",
    ],
)
def test_a_word_that_ends_no_transaction_is_fine(tmp_path: Path, statement: str) -> None:
    assert statement in read(tmp_path, f"-- migrate:up\n{statement};\n".encode()).sql


def test_copy_from_a_client_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MigrationInvalid, match=r"1_a\.sql:3: COPY"):
        read(tmp_path, UP + b"COPY a FROM stdin;\n1\n\\.\n")


@pytest.mark.parametrize("name", ["a.sql", "_1.sql", "1_a.SQL", "\u0661_a.sql"])
def test_a_name_without_a_version_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(MigrationInvalid, match=name):
        read(tmp_path, UP, name)


def test_a_folder_is_refused_and_other_files_are_none_of_ours(tmp_path: Path) -> None:
    for name in ("README.md", "1_a.sql~", ".#1_a.sql", "._1_a.sql"):
        (tmp_path / name).write_bytes(b"\xff\0")
    assert migrations(tmp_path) == []

    (tmp_path / "1_x.sql").mkdir()

    with pytest.raises(MigrationInvalid, match=r"1_x\.sql: this is not a file"):
        migrations(tmp_path)


def test_a_checksum_is_that_of_what_is_applied(tmp_path: Path) -> None:
    first = read(tmp_path, UP + DOWN).checksum

    same = [
        UP,
        (UP + DOWN).replace(b"\n", b"\r\n"),
        b"-- A table.\n" + UP + b"\n\n" + DOWN,
        UP.replace(b":up", b":up transaction:true"),
    ]
    other = [UP.replace(b"int", b"text"), UP.replace(b":up", b":up transaction:false")]
    assert {read(tmp_path, content).checksum for content in same} == {first}
    assert first not in {read(tmp_path, content).checksum for content in other}


def test_reading_takes_time_that_grows_with_the_size(tmp_path: Path) -> None:
    """A pattern that backtracks would take minutes for each of these."""
    began = time.monotonic()
    for text in ("'" * 50_001, "/*" * 50_000, "-- " + "\u00a0" * 50_000, "E'" + "'\n" * 50_000):
        (tmp_path / "1_a.sql").write_text(f"-- migrate:up\n{text}")
        with suppress(MigrationInvalid):
            migrations(tmp_path)

    assert time.monotonic() - began < 10

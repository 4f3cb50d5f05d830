"""The outer joins of docs/queries.md: what is true, what we say, and what sqlx's rule says.

sqlx (sqlx-postgres/src/connection/describe.rs) takes `attnotnull` and patches it from the plan:
outputs of the inner child of a left or right join, and all of a full join, become nullable, as long
as only such joins stand above. Published as wrong in launchbadge/sqlx#367, #2796, #3164, #3202, #3539
and PR #4285. The plan depends on the sizes of the tables, so these have rows.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from platform_queries.verify.nullability import nullability
from platform_queries.verify.prepare import Description, described, numbered
from platform_queries.verify.verifier import Verifier
from tests.databases import temporary_database

SCHEMA = """
CREATE TABLE p (id integer PRIMARY KEY, name text NOT NULL);
CREATE TABLE s (id integer PRIMARY KEY, p integer NOT NULL, title text NOT NULL);
INSERT INTO p SELECT n, 'p' || n FROM generate_series(1, 2000) n;
INSERT INTO s SELECT n, n + 1000, 's' || n FROM generate_series(1, 4000) n;
ANALYZE;
"""
DOCUMENT = Path(__file__).parents[2] / "docs" / "queries.md"

# What is true and what sqlx says: can the column be NULL? One letter a column.
CASES = {
    "SELECT p.name, s.title FROM p LEFT JOIN s ON s.p = p.id": ("ny", "yn"),
    "SELECT p.name, s.title FROM s RIGHT JOIN p ON s.p = p.id": ("ny", "yn"),
    "SELECT p.name, s.title FROM p FULL JOIN s ON s.p = p.id": ("yy", "yy"),
    "SELECT p.name, s.title FROM p LEFT JOIN s ON s.p = p.id ORDER BY p.name": ("ny", "nn"),
    "SELECT p.name, s.title FROM p LEFT JOIN s ON s.p = p.id LIMIT 5": ("ny", "nn"),
    "SELECT s.title, count(*) FROM p LEFT JOIN s ON s.p = p.id GROUP BY s.title": ("yn", "ny"),
    "SELECT q.title FROM (SELECT s.title FROM p LEFT JOIN s ON s.p = p.id OFFSET 0) q": ("y", "n"),
    "WITH q AS MATERIALIZED (SELECT s.title FROM p LEFT JOIN s ON s.p = p.id) SELECT title FROM q": (
        "y",
        "n",
    ),
    "SELECT id FROM p FULL JOIN s USING (id)": ("n", "y"),
    "SELECT s.title FROM p LEFT JOIN s ON s.p = p.id UNION SELECT name FROM p": ("y", "y"),
    "SELECT DISTINCT s.title FROM p LEFT JOIN s ON s.p = p.id": ("y", "n"),
}


@pytest.fixture(scope="module")
def tables(database_server: str, worker_name: str) -> Iterator[psycopg.Connection[Any]]:
    with (
        temporary_database(database_server, f"{worker_name}_sqlx") as url,
        psycopg.connect(url, autocommit=True) as connection,
    ):
        connection.execute(SCHEMA.encode())
        yield connection


@pytest.mark.parametrize("sql", CASES)
def test_ours_is_what_is_true_and_theirs_is_not(tables: psycopg.Connection[Any], sql: str) -> None:
    found = described(tables, numbered(sql))
    rows = tables.execute(sql.encode()).fetchall()
    true, theirs = CASES[sql]

    assert "".join("y" if None in column else "n" for column in zip(*rows, strict=True)) in (
        true,
        # LIMIT may leave out the rows with a NULL.
        true.replace("y", "n") if "LIMIT" in sql else true,
    )
    assert ours(tables, found) == true
    assert sqlx(tables, sql) == theirs


def ours(connection: psycopg.Connection[Any], found: Description) -> str:
    verdicts = nullability(found.query, Verifier(connection).catalog, [])
    return "".join("n" if verdict.is_never else "y" for verdict in verdicts)


def sqlx(connection: psycopg.Connection[Any], sql: str) -> str:
    nullable = _by_attnotnull(connection, sql)
    row = connection.execute(f"EXPLAIN (VERBOSE, FORMAT JSON) {sql}".encode()).fetchone()
    assert row is not None
    plan = row[0][0]["Plan"]
    _visit(plan, plan["Output"], nullable)
    return "".join("y" if each else "n" for each in nullable)


def _by_attnotnull(connection: psycopg.Connection[Any], sql: str) -> list[bool]:
    """Of a column that is of no table sqlx knows nothing, which makes it an `Option`."""
    connection.pgconn.prepare(b"", sql.encode())
    result = connection.pgconn.describe_prepared(b"")
    places = [(result.ftable(i), result.ftablecol(i)) for i in range(result.nfields)]
    return [
        connection.execute(
            "SELECT 1 FROM pg_attribute WHERE attrelid = %s AND attnum = %s AND attnotnull", place
        ).fetchone()
        is None
        for place in places
    ]


def _visit(plan: dict[str, Any], outputs: list[str], nullable: list[bool]) -> None:
    if plan.get("Join Type") == "Full" or plan.get("Parent Relationship") == "Inner":
        for output in plan.get("Output", ()):
            if output in outputs:
                nullable[outputs.index(output)] = True
    if plan.get("Join Type") in ("Left", "Right"):
        for child in plan.get("Plans", ()):
            _visit(child, outputs, nullable)


def test_the_table_in_the_documentation_is_this_one() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")

    for sql, (true, theirs) in CASES.items():
        assert f"| `{sql}` | {true} | {true} | {theirs} |" in text

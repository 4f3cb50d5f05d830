"""The real server behind PgBouncer with transaction pooling."""

import re
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import psycopg
import pytest
from psycopg import sql

from tests.e2e.patience import patiently
from tests.e2e.pgbouncer import pooled
from tests.e2e.serve import listening, started
from tests.processes import Program

pytestmark = pytest.mark.slow

REQUESTS = 200


@dataclass(frozen=True)
class Roles:
    """One empty database: `direct` leads to it as its owner, `ordinary` as one who only uses it."""

    direct: str
    ordinary: str


@pytest.fixture
def role(database_server: str, worker_name: str) -> Iterator[tuple[str, str]]:
    """Name and password of a role that may log in."""
    name, password = f"{worker_name}_app", secrets.token_hex(16)
    role = sql.Identifier(name)
    with psycopg.connect(database_server, autocommit=True) as owner:
        owner.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, password))
        owner.execute(sql.SQL("ALTER ROLE {} SET statement_timeout = '7s'").format(role))
        yield name, password
        owner.execute(sql.SQL("DROP ROLE {}").format(role))


@pytest.fixture
def roles(role: tuple[str, str], empty_database_url: str) -> Roles:
    name, password = role
    grant = sql.SQL("ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO {}")
    with psycopg.connect(empty_database_url, autocommit=True) as owner:
        owner.execute(grant.format(sql.Identifier(name)))
    parts = urlsplit(empty_database_url)
    place = parts.netloc.rpartition("@")[2]
    ordinary = parts._replace(netloc=f"{name}:{password}@{place}").geturl()
    return Roles(empty_database_url, ordinary)


def settings(roles: Roles, through: str, **changes: str) -> dict[str, str]:
    return {
        "DATABASE_URL": through,
        "DATABASE_DIRECT_URL": roles.direct,
        "DATABASE_PREPARED_STATEMENTS": "off",
        **changes,
    }


def client(program: Program) -> httpx2.Client:
    return httpx2.Client(
        base_url=f"http://127.0.0.1:{program.port}/api/v1", headers={"x-user-id": "alice"}
    )


def create_and_read(program: Program, number: int) -> list[int]:
    """Create, repeat that, read one, read all; return the statuses."""
    body, key = {"name": f"Project {number}"}, {"idempotency-key": f"k-{number}"}
    with client(program) as http:
        created = patiently(lambda: http.post("/projects", json=body, headers=key))
        again = patiently(lambda: http.post("/projects", json=body, headers=key))
        found = patiently(lambda: http.get(f"/projects/{created.json()['id']}"))
        listed = patiently(lambda: http.get("/projects"))
    assert again.content == created.content
    return [answer.status_code for answer in (created, again, found, listed)]


def read(program: Program, number: int) -> list[int]:
    with client(program) as http:
        return [patiently(lambda: http.get("/projects")).status_code for _ in range(4)]


def statuses_of(use: Callable[[Program, int], list[int]], program: Program) -> Counter[int]:
    """Let several clients use the server for `REQUESTS` requests."""
    with ThreadPoolExecutor(8) as threads:
        rounds = threads.map(partial(use, program), range(REQUESTS // 4))
        return Counter(status for statuses in rounds for status in statuses)


def test_no_request_fails_without_prepared_statements(tmp_path: Path, roles: Roles) -> None:
    with (
        pooled(roles.ordinary) as through,
        listening(tmp_path, **settings(roles, through)) as program,
    ):
        statuses = statuses_of(create_and_read, program)
        program.signal()
        code = program.exit_code()

    assert statuses == {201: REQUESTS // 2, 200: REQUESTS // 2}
    assert code == 0
    assert "Traceback" not in program.output
    assert "ERROR" not in program.output


def test_prepared_statements_fail_so_there_is_a_setting(tmp_path: Path, roles: Roles) -> None:
    with (
        pooled(roles.ordinary) as through,
        listening(
            tmp_path, **settings(roles, through, DATABASE_PREPARED_STATEMENTS="auto")
        ) as program,
    ):
        statuses = statuses_of(read, program)

    assert statuses[500] > 0, "this PgBouncer keeps prepared statements: the setting can go"


def test_migrations_go_past_the_pooler(tmp_path: Path, roles: Roles) -> None:
    with pooled(roles.ordinary) as through, listening(tmp_path, **settings(roles, through)):
        pass

    with psycopg.connect(roles.direct) as connection:
        owners = connection.execute(
            "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"
        ).fetchall()
    assert owners == [(psycopg.conninfo.conninfo_to_dict(roles.direct)["user"],)]


def test_our_timeouts_do_not_reach_the_server_but_those_of_the_role_do(roles: Roles) -> None:
    with pooled(roles.ordinary) as through:
        behind = statement_timeout(through)

    assert (behind, statement_timeout(roles.ordinary)) == ("7s", "1s")


def statement_timeout(url: str) -> str:
    with psycopg.connect(url, options="-c statement_timeout=1000") as connection:
        (shown,) = connection.execute("SHOW statement_timeout").fetchone() or ("",)
    return str(shown)


def test_date_style_and_time_zone_are_ours_through_the_pooler(tmp_path: Path, roles: Roles) -> None:
    alter(roles, "DateStyle = 'German'", "TimeZone = 'Asia/Tokyo'")
    with (
        pooled(roles.ordinary) as through,
        listening(tmp_path, **settings(roles, through)) as program,
        client(program) as http,
    ):
        made = patiently(lambda: http.post("/projects", json={"name": "Storyboard"})).json()

    assert made["created_at"].endswith("Z")


def test_settings_of_the_role_are_refused_with_the_statements_that_mend_them(
    tmp_path: Path, roles: Roles
) -> None:
    alter(
        roles,
        "IntervalStyle = 'sql_standard'",
        "search_path = elsewhere",
        "default_transaction_isolation = 'serializable'",
        "default_transaction_read_only = on",
    )
    with (
        pooled(roles.ordinary) as through,
        started(tmp_path, **settings(roles, through)) as program,
    ):
        assert program.exit_code() == 1
    statements = re.findall(r"ALTER ROLE [^;\n]+?(?=;|\.$)", program.output, re.MULTILINE)
    with psycopg.connect(roles.direct, autocommit=True) as owner:
        for statement in statements:
            owner.execute(statement.encode())
    with pooled(roles.ordinary) as through, listening(tmp_path, **settings(roles, through)):
        pass

    assert len(statements) == 4
    assert "Next attempt" not in program.output
    assert "Traceback" not in program.output


def alter(roles: Roles, *changes: str) -> None:
    role = sql.Identifier(str(urlsplit(roles.ordinary).username))
    with psycopg.connect(roles.direct, autocommit=True) as owner:
        for change in changes:
            owner.execute(sql.SQL("ALTER ROLE {} SET {}").format(role, sql.SQL(change)))


def test_a_pooler_that_refuses_our_options_is_told_in_words(tmp_path: Path, roles: Roles) -> None:
    with (
        pooled(roles.ordinary, ignored="extra_float_digits") as through,
        started(tmp_path, **settings(roles, through)) as program,
    ):
        assert program.exit_code() == 1

    assert "unsupported startup parameter: options" in program.output
    assert "Next attempt" not in program.output
    assert "Traceback" not in program.output


def test_a_wrong_password_is_told_at_once(tmp_path: Path, roles: Roles) -> None:
    with pooled(roles.ordinary) as through:
        wrong = through.replace("@/", "wrong@/")
        with started(tmp_path, **settings(roles, wrong)) as program:
            assert program.exit_code() == 1

    assert "SASL authentication failed" in program.output
    assert "Next attempt" not in program.output

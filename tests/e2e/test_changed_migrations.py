"""Migration files that were changed after they were applied, and `platform reset`, the way out."""

import os
import sys
from pathlib import Path

import httpx2
import pytest

from tests.e2e.serve import COMMANDS, listening, run
from tests.e2e.test_serve import client, create
from tests.e2e.test_terminal import in_terminal, read_until
from tests.infrastructure.postgres.connections import ask

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
CHANGED = "20261122000000_projects.sql"
PRODUCTION = {"APP_ENV": "production", "AUTHENTICATOR": "anonymous"}
WARNING = "Migrations were changed after they were applied"


@pytest.fixture
def changed_url(fresh_database_url: str) -> str:
    """A database to which another text of one file was applied."""
    tamper = "UPDATE schema_migrations SET checksum = 'other' WHERE version = '20261122000000'"
    ask(fresh_database_url, tamper)
    return fresh_database_url


def test_migrate_refuses_in_production_and_warns_in_development(
    tmp_path: Path, changed_url: str
) -> None:
    refused, reason = run(
        "platform", "migrate", folder=tmp_path, DATABASE_URL=changed_url, **PRODUCTION
    )
    warned, warning = run("platform", "migrate", folder=tmp_path, DATABASE_URL=changed_url)

    assert (refused, warned) == (1, 0)
    assert f"{CHANGED}: changed after it was applied" in reason
    assert WARNING in warning
    assert "platform reset" in reason
    assert "platform reset" in warning


def test_check_refuses(changed_url: str) -> None:
    for arguments, settings in (
        (["--database", changed_url], {}),
        ([], {"DATABASE_URL": changed_url}),
    ):
        code, output = run("platform", "check", *arguments, folder=ROOT, **settings)

        assert code == 1, output
        assert f"{CHANGED}: changed after it was applied" in output
        assert "platform reset" in output
        assert "Traceback" not in output


@pytest.mark.parametrize("environment", [{}, PRODUCTION])
def test_serve_warns_once_and_serves(
    tmp_path: Path, changed_url: str, environment: dict[str, str]
) -> None:
    with listening(tmp_path, DATABASE_URL=changed_url, **environment) as program:
        ready = httpx2.get(f"http://127.0.0.1:{program.port}/health/ready")

    assert ready.status_code == 200
    assert program.output.count(WARNING) == 1
    assert CHANGED in program.output
    assert "platform reset" in program.output


def test_reset_rebuilds_the_embedded_database_when_no_server_uses_it(tmp_path: Path) -> None:
    with listening(tmp_path) as program:
        assert create(program, "Storyboard").status_code == 201

        code, output = run("platform", "reset", "--yes", folder=tmp_path)

        assert code == 1
        assert f"already in use by process {program.pid}" in output
        program.signal()
        assert program.exit_code() == 0

    code, output = run("platform", "reset", "--yes", folder=tmp_path)
    assert code == 0, output
    assert f"applied {CHANGED}" in output

    with listening(tmp_path) as program, client(program) as http:
        assert http.get("/api/v1/projects").json()["items"] == []


def test_reset_without_a_terminal_wants_yes(tmp_path: Path, fresh_database_url: str) -> None:
    ask(fresh_database_url, "CREATE TABLE left_over (a int)")

    code, output = run("platform", "reset", folder=tmp_path, DATABASE_URL=fresh_database_url)

    assert code == 1
    assert "--yes" in output
    assert ask(fresh_database_url, "SELECT count(*) FROM left_over") == [(0,)]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminal")
@pytest.mark.parametrize(("answer", "left"), [("n", "left_over"), ("y", None)])
def test_reset_asks_first(fresh_database_url: str, answer: str, left: str | None) -> None:
    ask(fresh_database_url, "CREATE TABLE left_over (a int)")
    command = [str(COMMANDS / "platform"), "reset"]
    with in_terminal(*command, DATABASE_URL=fresh_database_url) as (ours, program):
        read_until(ours, "will be lost. Go on? [y/N]")
        os.write(ours, f"{answer}\n".encode())
        read_until(ours, "Nothing was changed." if left else "The schema is up to date.")
        assert program.wait(20) == (1 if left else 0)

    assert ask(fresh_database_url, "SELECT to_regclass('left_over')::text") == [(left,)]

"""`serve --reload`: real files change, and a real server is replaced."""

import os
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import httpx2
import pytest

from platform_api.reload import package_folders
from tests.e2e.serve import COMMANDS, spawn
from tests.infrastructure.postgres.connections import ask
from tests.processes import Program

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="Sends POSIX signals."),
]

BROKEN = "LOG_LEVEL=LOUD\n"
MENDED = "LOG_LEVEL=INFO\n"


@pytest.fixture(autouse=True)
def code(tmp_path: Path) -> Path:
    """A copy of the platform's code, which goes before the installed one: whoever works on that
    while the tests run does not disturb them."""
    for folder in package_folders():
        shutil.copytree(
            folder, tmp_path / "code" / folder.name, ignore=shutil.ignore_patterns("__pycache__")
        )
    return tmp_path / "code"


@contextmanager
def reloading(folder: Path, **settings: str) -> Iterator[Program]:
    own_code = {"PYTHONPATH": str(folder / "code")}
    program = spawn([str(COMMANDS / "serve"), "--reload"], folder, own_code | settings)
    try:
        yield program
    finally:
        program.end()


def process_of(program: Program) -> int:
    return int(program.wait_for(r"The server runs in process (\d+)")[1])


def client(program: Program) -> httpx2.Client:
    return httpx2.Client(
        base_url=f"http://127.0.0.1:{program.port}", headers={"x-user-id": "alice"}
    )


def replace(path: Path, text: str) -> None:
    """Put a new file in the place of the old one, as many editors do."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def test_a_taken_port_is_reported_before_a_postgresql_is_started(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with reloading(tmp_path, PORT=str(port)) as program:
            assert program.exit_code() == 1

    assert f"127.0.0.1:{port} is already in use (PORT)" in program.output
    assert not (tmp_path / ".dev").exists()


def test_changed_code_is_served_on_the_same_port_from_the_same_database(
    tmp_path: Path, code: Path
) -> None:
    projects = code / "platform_domain" / "projects.py"
    with reloading(tmp_path, PORT=free_port()) as program:
        first = process_of(program)
        program.wait_until_listening()
        port = program.port
        with client(program) as http:
            created = http.post("/api/v1/projects", json={"name": "Storyboard"}).json()

        projects.write_text(projects.read_text().replace("There is no such", "Nobody knows this"))
        second = process_of(program)
        program.wait_until_listening()
        with client(program) as http:
            found = http.get(f"/api/v1/projects/{created['id']}")
            missing = http.get(f"/api/v1/projects/{uuid4()}")

    assert found.json() == created
    assert missing.json()["error"] == "Nobody knows this project."
    assert program.port == port
    assert first != second
    assert program.output.count("Started a PostgreSQL") == 1


def test_a_migration_is_not_recorded_before_it_is_written(
    tmp_path: Path, code: Path, fresh_database_url: str
) -> None:
    draft = code / "platform_infrastructure" / "migrations" / "99990101000000_scenes.sql"
    recorded = "SELECT version FROM schema_migrations WHERE version = '99990101000000'"
    with reloading(tmp_path, DATABASE_URL=fresh_database_url) as program:
        program.wait_until_listening()

        draft.write_text("-- migrate:up\n\n-- migrate:down\n")
        program.wait_until_listening()
        with client(program) as http:
            assert http.get("/health/ready").status_code == 200
        assert ask(fresh_database_url, recorded) == []

        draft.write_text("-- migrate:up\nCREATE TABLE scenes (a int);\n\n-- migrate:down\n")
        program.wait_until_listening()

    assert ask(fresh_database_url, recorded) == [("99990101000000",)]
    assert ask(fresh_database_url, "SELECT count(*) FROM scenes") == [(0,)]


@pytest.mark.parametrize(
    ("file", "settings"), [(".env", {}), ("dev.toml", {"PLATFORM_CONFIG": "dev.toml"})]
)
def test_changed_settings_are_served(
    tmp_path: Path, database_url: str, file: str, settings: dict[str, str]
) -> None:
    origin = {"origin": "https://app.example.com"}
    (tmp_path / "dev.toml").write_text("")
    with reloading(tmp_path, DATABASE_URL=database_url, **settings) as program:
        program.wait_until_listening()

        replace(tmp_path / file, 'CORS_ORIGINS="https://app.example.com"\n')
        program.wait_until_listening()
        with client(program) as http:
            answer = http.get("/api/v1/projects", headers=origin)

    assert f"Changed: {file}." in program.output
    assert answer.headers["access-control-allow-origin"] == origin["origin"]


def test_code_that_cannot_start_is_shown_once_and_the_next_change_is_tried(
    tmp_path: Path, code: Path, database_url: str
) -> None:
    module = code / "platform_api" / "app.py"
    right = module.read_text()
    with reloading(tmp_path, DATABASE_URL=database_url) as program:
        program.wait_until_listening()

        module.write_text(right + "\nbroken = (\n")
        program.wait_for("ended with exit code 1. Waiting for a change")
        module.write_text(right)
        program.wait_until_listening()

    assert program.output.count("SyntaxError") == 1
    assert program.output.count("The server runs in process") == 3


def test_bad_settings_at_the_first_start_are_shown_until_they_are_mended(
    tmp_path: Path, database_url: str
) -> None:
    (tmp_path / ".env").write_text(BROKEN)
    with reloading(tmp_path, DATABASE_URL=database_url) as program:
        program.wait_for("Waiting for a change")
        assert "LOG_LEVEL (from .env line 1)" in program.output

        replace(tmp_path / ".env", MENDED)
        program.wait_until_listening()

    assert "Traceback" not in program.output


def test_production_set_while_reloading_is_refused_until_it_is_taken_back(
    tmp_path: Path, database_url: str
) -> None:
    with reloading(tmp_path, DATABASE_URL=database_url) as program:
        program.wait_until_listening()

        replace(tmp_path / ".env", "APP_ENV=production\nAUTHENTICATOR=anonymous\n")
        program.wait_for("Reloading is for development.*Waiting for a change")
        replace(tmp_path / ".env", MENDED)
        program.wait_until_listening()


def test_ctrl_c_that_uv_sends_once_more_ends_everything_once(
    tmp_path: Path, database_url: str
) -> None:
    with reloading(tmp_path, DATABASE_URL=database_url) as program:
        server = process_of(program)
        program.wait_until_listening()
        assert os.getpgid(server) == server, "a terminal's ^C does not reach it"

        program.signal(signal.SIGINT)
        program.signal(signal.SIGINT)

        assert program.exit_code() == 0
        with pytest.raises(ProcessLookupError):
            os.kill(server, 0)

    assert program.output.count("Draining:") == 1
    assert "Traceback" not in program.output


def test_ctrl_c_ends_it_while_it_waits_for_a_change(tmp_path: Path, database_url: str) -> None:
    (tmp_path / ".env").write_text(BROKEN)
    with reloading(tmp_path, DATABASE_URL=database_url) as program:
        program.wait_for("Waiting for a change")
        program.signal(signal.SIGINT)

        assert program.exit_code() == 0


def test_the_server_ends_with_a_parent_that_was_killed(tmp_path: Path, database_url: str) -> None:
    with reloading(tmp_path, DATABASE_URL=database_url) as program:
        program.wait_until_listening()

        program.signal(signal.SIGKILL)

        # The output ends only when the last process that could write to it is gone.
        assert program.exit_code() == -signal.SIGKILL
        assert "Drained in" in program.output


def test_production_refuses_to_reload(tmp_path: Path, database_url: str) -> None:
    settings = {"APP_ENV": "production", "AUTHENTICATOR": "anonymous"}
    with reloading(tmp_path, DATABASE_URL=database_url, **settings) as program:
        assert program.exit_code() == 1
        assert "Reloading is for development" in program.output


def test_without_watchfiles_it_says_what_to_install(
    tmp_path: Path, code: Path, database_url: str
) -> None:
    (code / "sitecustomize.py").write_text("import sys\nsys.modules['watchfiles'] = None\n")
    with reloading(tmp_path, DATABASE_URL=database_url) as program:
        assert program.exit_code() == 1
        assert "uv sync" in program.output
        assert "Traceback" not in program.output

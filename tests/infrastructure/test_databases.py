"""The test database itself: chosen as told, and leaving no trace on a server that is shared."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import create_server

import psycopg
import pytest

from platform_infrastructure.postgres.embedded import EmbeddedPostgres
from tests.database_desk import AskedDatabases, Desk
from tests.databases import Databases, NoTestDatabase, empty_tables, engine_answers, start_server

pytestmark = pytest.mark.slow

PROJECT = Path(__file__).parents[2]


@contextmanager
def engine(answer: bytes) -> Iterator[str]:
    """What a Docker engine is to a ping: an address that answers one request."""
    with create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1024)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


def names(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        return {name for (name,) in connection.execute("SELECT datname FROM pg_database")}


def test_docker_counts_only_when_its_engine_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    for answer, counts in (
        (b"HTTP/1.0 200 OK\r\n\r\nOK", True),
        (b"HTTP/1.0 500 No\r\n\r\n", False),
    ):
        with engine(answer) as address:
            monkeypatch.setenv("DOCKER_HOST", address)
            assert engine_answers() is counts

    assert not engine_answers(), "nobody listens there any more"


@pytest.mark.parametrize(
    ("backend", "message"),
    [
        ("docker", "no Docker engine answers"),
        ("url", "TEST_DATABASE_URL is not set"),
        ("sqlite", "not one of"),
    ],
)
def test_a_backend_that_is_asked_for_and_fails_is_an_error(
    monkeypatch: pytest.MonkeyPatch, backend: str, message: str
) -> None:
    monkeypatch.setenv("TEST_DATABASE_BACKEND", backend)
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent")
    monkeypatch.delenv("TEST_DATABASE_URL", raising=False)

    with pytest.raises(NoTestDatabase, match=message):
        start_server()


def test_a_wrong_url_of_a_given_server_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_DATABASE_BACKEND", "url")
    monkeypatch.setenv("TEST_DATABASE_URL", "postgresql://u:hun@ter2@127.0.0.1:1/d")

    with pytest.raises(NoTestDatabase, match="TEST_DATABASE_URL") as caught:
        start_server()

    assert "ter2" not in f"{caught.value} {caught.value.__cause__}"


def test_a_given_server_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    with EmbeddedPostgres(folder=None) as postgres:
        monkeypatch.delenv("TEST_DATABASE_BACKEND", raising=False)
        monkeypatch.setenv("TEST_DATABASE_URL", postgres.url)
        before = names(postgres.url)
        databases = Databases()

        template = databases.template()
        assert names(postgres.url) - before == {template}
        databases.stop()

        assert names(postgres.url) == before
        with psycopg.connect(postgres.url) as connection:
            tables = connection.execute("SELECT FROM pg_tables WHERE schemaname = 'public'")
            assert tables.fetchall() == []


def test_workers_share_the_controllers_template(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_DATABASE_BACKEND", "embedded")
    databases = Databases()
    desk = Desk(databases, key="secret")
    address = desk.open()
    try:
        workers = [AskedDatabases(address, "secret", databases.prefix) for _ in range(2)]

        assert {worker.template() for worker in workers} == {databases.template()}
        assert {worker.server_url() for worker in workers} == {databases.server_url()}
    finally:
        desk.close()
        databases.stop()


def test_a_worker_is_told_why_there_is_no_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_DATABASE_BACKEND", "nonsense")
    desk = Desk(Databases(), key="secret")
    worker = AskedDatabases(desk.open(), "secret", "test")

    with pytest.raises(NoTestDatabase, match="nonsense"):
        worker.server_url()
    desk.close()


def test_emptying_the_tables_spares_the_list_of_migrations(fresh_database_url: str) -> None:
    with psycopg.connect(fresh_database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE parent (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY)")
        connection.execute("CREATE TABLE child (parent int REFERENCES parent)")
        connection.execute("WITH p AS (INSERT INTO parent DEFAULT VALUES) SELECT 1")
        connection.execute("INSERT INTO child VALUES (1)")

        empty_tables(fresh_database_url)

        left = connection.execute("SELECT count(*) FROM parent, child").fetchone()
        migrations = connection.execute("SELECT count(*) > 0 FROM schema_migrations").fetchone()
    assert (left, migrations) == ((0,), (True,))


def test_a_run_that_asks_for_no_database_starts_none(tmp_path: Path) -> None:
    """With a backend that must fail: had it been started, this run would have failed as well."""
    (tmp_path / "test_nothing.py").write_text("def test_nothing() -> None: ...\n")

    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "2", "-p", "tests.conftest", tmp_path],
        cwd=PROJECT,
        env={"TEST_DATABASE_BACKEND": "url", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stdout + run.stderr
    assert "test database" not in run.stdout

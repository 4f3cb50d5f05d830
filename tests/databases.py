"""The PostgreSQL that the tests run against: which one, started when first asked for.

TEST_DATABASE_URL if it is set, else Docker if an engine answers, else the embedded wheel.
TEST_DATABASE_BACKEND=url|docker|embedded asks for one of them, and then its failure is an error.
There is one server a run; under pytest-xdist the controller owns it (see `tests.database_desk`).
"""

import asyncio
import os
import secrets
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from platform_domain.startup import StartupError
from platform_infrastructure.postgres.embedded import EmbeddedPostgres, EmbeddedPostgresError
from platform_infrastructure.postgres.parameters import parsed

IMAGE = "postgres:18"
PING_SECONDS = 0.5
BACKENDS = ("url", "docker", "embedded")


class NoTestDatabase(Exception):
    """There is no PostgreSQL for the tests. The text says what was tried."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server. `url` is an administrator's; the database it names is never used.

    A `shared` one stays when the run ends.
    """

    url: str
    backend: str
    reason: str
    stop: Callable[[], None]
    shared: bool = False


class Databases:
    """Everything that one test run has on one server, started when it is first asked for.

    All databases of a run share a random prefix, so that the run can clear away after itself on a
    server that it shares with others. Calls may come from several threads.
    """

    def __init__(self) -> None:
        self.prefix = f"test_{secrets.token_hex(4)}"
        self._lock = threading.RLock()
        self._server: Server | None = None
        self._failure: NoTestDatabase | None = None
        self._template: str | None = None

    def server_url(self) -> str:
        with self._lock:
            return self._started().url

    def template(self) -> str:
        """Return the name of a database that has every migration and no data."""
        with self._lock:
            if self._template is None:
                name = f"{self.prefix}_template"
                create_database(self.server_url(), name)
                _migrate(database_url(self.server_url(), name))
                self._template = name
            return self._template

    def describe(self) -> str | None:
        """Return the sentence about the chosen server, None when nobody needed one."""
        return f"{self._server.backend}: {self._server.reason}" if self._server else None

    def stop(self) -> None:
        with self._lock, ExitStack() as leaving:
            if self._server is not None:
                leaving.callback(self._server.stop)
                if self._server.shared:
                    drop_databases(self._server.url, self.prefix)
                self._server = None

    def _started(self) -> Server:
        """A failure is remembered: hundreds of tests should not each try again."""
        if self._failure is not None:
            raise self._failure
        if self._server is None:
            try:
                self._server = start_server()
            except NoTestDatabase as failure:
                self._failure = failure
                raise
        return self._server


def start_server() -> Server:
    """Start the chosen server, or raise `NoTestDatabase`."""
    wanted = os.environ.get("TEST_DATABASE_BACKEND", "")
    if wanted not in ("", *BACKENDS):
        raise NoTestDatabase(f"TEST_DATABASE_BACKEND is {wanted!r}, not one of {BACKENDS}.")
    starts = {"url": _given, "docker": _docker, "embedded": _embedded}
    if wanted:
        return starts[wanted]("TEST_DATABASE_BACKEND asks for it")
    if os.environ.get("TEST_DATABASE_URL"):
        return _given("TEST_DATABASE_URL is set")
    try:
        return _docker("a Docker engine answers")
    except NoTestDatabase as missing:
        return _embedded(f"TEST_DATABASE_URL is not set; {missing}")


def database_url(url: str, name: str) -> str:
    """Return `url` with the database `name` in place of its own."""
    return urlsplit(url)._replace(path=f"/{name}").geturl()


def create_database(server_url: str, name: str, template: str = "template0") -> None:
    statement = "CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY"
    _administer(server_url, statement, name, template)


def drop_database(server_url: str, name: str) -> None:
    _administer(server_url, "DROP DATABASE IF EXISTS {} WITH (FORCE)", name)


def drop_databases(server_url: str, prefix: str) -> None:
    with psycopg.connect(server_url, autocommit=True) as connection:
        rows = connection.execute(
            "SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [prefix]
        ).fetchall()
    for (name,) in rows:
        drop_database(server_url, name)


@contextmanager
def temporary_database(server_url: str, name: str, template: str = "template0") -> Iterator[str]:
    """The URL of a database that is there for the length of the block."""
    create_database(server_url, name, template)
    try:
        yield database_url(server_url, name)
    finally:
        drop_database(server_url, name)


def empty_tables(url: str) -> None:
    """Truncate all tables but the list of migrations. Fails rather than wait for a left-over lock."""
    with psycopg.connect(url, autocommit=True, options="-c lock_timeout=5s") as connection:
        rows = connection.execute(
            "SELECT tablename FROM pg_tables"
            " WHERE schemaname = 'public' AND tablename <> 'schema_migrations'"
        ).fetchall()
        if rows:
            tables = sql.SQL(", ").join(sql.Identifier("public", name) for (name,) in rows)
            connection.execute(sql.SQL("TRUNCATE {} RESTART IDENTITY CASCADE").format(tables))


def _administer(server_url: str, statement: str, *names: str) -> None:
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def _migrate(url: str) -> None:
    from platform_infrastructure.postgres.migrations import migrate

    def in_a_loop_of_its_own() -> None:
        # psycopg cannot use the proactor loop that Windows has by default.
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(migrate(url))

    # An async fixture may be what asks: its thread has a running loop already.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(in_a_loop_of_its_own).result()


def _given(reason: str) -> Server:
    url = os.environ.get("TEST_DATABASE_URL", "")
    if not url:
        raise NoTestDatabase("TEST_DATABASE_URL is not set.")
    try:
        psycopg.connect(**parsed(url) | {"connect_timeout": 5}).close()
    except StartupError as error:
        raise NoTestDatabase(f"TEST_DATABASE_URL cannot be used: {error}") from None
    except psycopg.OperationalError as error:
        raise NoTestDatabase(f"TEST_DATABASE_URL does not answer: {error}") from error
    return Server(url, "url", reason, stop=lambda: None, shared=True)


def _embedded(reason: str) -> Server:
    postgres = EmbeddedPostgres(folder=None)
    try:
        postgres.start()
    except EmbeddedPostgresError as error:
        raise NoTestDatabase(f"{reason}; and the embedded server: {error}") from error
    return Server(postgres.url, "embedded", reason, stop=postgres.stop)


def _docker(reason: str) -> Server:
    if not engine_answers():
        raise NoTestDatabase("no Docker engine answers")
    with warnings.catch_warnings():
        # The warnings of testcontainers are not ours to mend.
        warnings.simplefilter("ignore")
        return _container(reason)


def _container(reason: str) -> Server:
    from testcontainers.community.postgres import PostgresContainer  # Costs 0.6 s.

    container = PostgresContainer(
        IMAGE, username="postgres", password=secrets.token_hex(16), dbname="postgres", driver=None
    ).with_env("POSTGRES_INITDB_ARGS", "--locale-provider=builtin --builtin-locale=C.UTF-8")
    container.with_command("postgres -c fsync=off -c full_page_writes=off")
    try:
        container.start()
    except Exception as error:  # Engine, registry, image or server: all mean no.
        raise NoTestDatabase(f"Docker cannot run {IMAGE}: {_first_line(error)}") from error
    return Server(container.get_connection_url(), "docker", reason, stop=container.stop)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def engine_answers() -> bool:
    """Whether a Docker engine answers `GET /_ping` in time. The client's presence says nothing."""
    if sys.platform == "win32" and "DOCKER_HOST" not in os.environ:
        return os.path.exists(r"\\.\pipe\docker_engine")
    return any(_pings(address) for address in _engine_addresses())


def _engine_addresses() -> list[str]:
    if host := os.environ.get("DOCKER_HOST"):
        return [host]
    runtime = os.environ.get("XDG_RUNTIME_DIR", "/nonexistent")
    places = ("/var/run/docker.sock", Path.home() / ".docker/run/docker.sock")
    return [f"unix://{place}" for place in (*places, f"{runtime}/docker.sock")]


def _pings(address: str) -> bool:
    try:
        with _connection(address) as connection:
            connection.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
            return b" 200 " in connection.recv(64)
    except OSError:
        return False


def _connection(address: str) -> socket.socket:
    parts = urlsplit(address)
    if parts.scheme == "tcp":
        return socket.create_connection((parts.hostname, parts.port or 2375), PING_SECONDS)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(PING_SECONDS)
    try:
        connection.connect(parts.path)
    except OSError:
        connection.close()
        raise
    return connection

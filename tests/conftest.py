"""Fixtures for every test: the event loop, and databases for those that ask for one."""

import asyncio
import secrets
import sys
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from platform_infrastructure.postgres.parameters import ignore_environment
from tests.database_desk import AskedDatabases, Desk, RunDatabases
from tests.databases import Databases, empty_tables, temporary_database

pytest_plugins = ["tests.skips"]

DATABASES = pytest.StashKey[RunDatabases]()
OWNED = pytest.StashKey[Databases]()
WORKERINPUT = pytest.StashKey[tuple[tuple[str, int], str, str]]()
DESK = pytest.StashKey[Desk]()
NUMBERS = count(1)


def pytest_configure(config: pytest.Config) -> None:
    ignore_environment()
    workerinput: dict[str, Any] | None = getattr(config, "workerinput", None)
    if workerinput is not None:
        config.stash[DATABASES] = AskedDatabases(*workerinput["databases"])
        return
    databases = Databases()
    config.stash[OWNED] = databases
    config.stash[DATABASES] = databases


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """In the controller of pytest-xdist, before a worker is started."""
    stash, owned = node.config.stash, node.config.stash[OWNED]
    if DESK not in stash:
        key = secrets.token_hex(16)
        desk = Desk(owned, key)
        stash[DESK] = desk
        stash[WORKERINPUT] = (desk.open(), key, owned.prefix)
    node.workerinput["databases"] = stash[WORKERINPUT]


def pytest_unconfigure(config: pytest.Config) -> None:
    if desk := config.stash.get(DESK, None):
        desk.close()
    if owned := config.stash.get(OWNED, None):
        owned.stop()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    owned = config.stash.get(OWNED, None)
    if owned is not None and (sentence := owned.describe()):
        terminalreporter.write_line(f"test database: {sentence}")


@pytest.fixture(scope="session")
def anyio_backend() -> str | tuple[str, dict[str, object]]:
    if sys.platform == "win32":
        # psycopg cannot use the proactor loop that Windows has by default.
        return "asyncio", {"loop_factory": asyncio.SelectorEventLoop}
    return "asyncio"


@pytest.fixture(scope="session")
def database_server(pytestconfig: pytest.Config) -> str:
    """An administrator's URL of the server. Create databases on it; leave the one it names alone."""
    return pytestconfig.stash[DATABASES].server_url()


@pytest.fixture(scope="session")
def worker_database(
    pytestconfig: pytest.Config, database_server: str, worker_name: str
) -> Iterator[str]:
    """A migrated database for this process; tests ask for `database_url`."""
    template = pytestconfig.stash[DATABASES].template()
    with temporary_database(database_server, f"{worker_name}_shared", template) as url:
        yield url


@pytest.fixture
def database_url(worker_database: str) -> str:
    """A migrated database, its tables empty. Not for tests that change the schema."""
    empty_tables(worker_database)
    return worker_database


@pytest.fixture
def empty_database_url(database_server: str, worker_name: str) -> Iterator[str]:
    """A new database with nothing in it."""
    with temporary_database(database_server, f"{worker_name}_{next(NUMBERS)}") as url:
        yield url


@pytest.fixture
def fresh_database_url(
    pytestconfig: pytest.Config, database_server: str, worker_name: str
) -> Iterator[str]:
    """A new migrated database, for tests that change the schema or start whole servers."""
    template = pytestconfig.stash[DATABASES].template()
    with temporary_database(database_server, f"{worker_name}_{next(NUMBERS)}", template) as url:
        yield url


@pytest.fixture(scope="session")
def worker_name(pytestconfig: pytest.Config) -> str:
    """What the names of this process's databases begin with."""
    workerinput: dict[str, str] = getattr(pytestconfig, "workerinput", {})
    return f"{pytestconfig.stash[DATABASES].prefix}_{workerinput.get('workerid', 'main')}"

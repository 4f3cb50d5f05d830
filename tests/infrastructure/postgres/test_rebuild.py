from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from platform_domain.startup import StartupError
from platform_infrastructure.postgres.rebuild import rebuild, swap
from tests.infrastructure.postgres.connections import ask, settings_for

pytestmark = pytest.mark.anyio


async def test_a_database_is_replaced_under_the_eyes_of_its_users(fresh_database_url: str) -> None:
    ask(fresh_database_url, "CREATE TABLE left_over (a int)")
    with psycopg.connect(fresh_database_url) as user:
        user.execute("SELECT count(*) FROM left_over")

        names = await rebuild(settings_for(fresh_database_url))

        with pytest.raises(psycopg.OperationalError):
            user.execute("SELECT 1")
    assert ask(fresh_database_url, "SELECT to_regclass('left_over')") == [(None,)]
    assert ask(fresh_database_url, "SELECT count(*) FROM projects") == [(0,)]
    assert ask(fresh_database_url, "SELECT count(*) FROM schema_migrations") == [(len(names),)]
    assert others(fresh_database_url) == []


async def test_a_rebuild_that_fails_leaves_the_database_as_it_was(
    fresh_database_url: str, database_server: str
) -> None:
    """Here a role that may connect, and not create databases."""
    ask(fresh_database_url, "CREATE TABLE left_over (a int)")
    name = conninfo_to_dict(fresh_database_url)["dbname"]
    ask(database_server, f"CREATE ROLE {name} LOGIN PASSWORD 'secret'")
    try:
        ask(database_server, f"ALTER DATABASE {name} OWNER TO {name}")
        parts = urlsplit(fresh_database_url)
        server = parts.netloc.rpartition("@")[2]
        url = parts._replace(netloc=f"{name}:secret@{server}").geturl()

        with pytest.raises(StartupError, match="permission denied to create database"):
            await rebuild(settings_for(url))

        assert ask(fresh_database_url, "SELECT count(*) FROM left_over") == [(0,)]
        assert others(fresh_database_url) == []
    finally:
        ask(database_server, f"ALTER DATABASE {name} OWNER TO CURRENT_USER")
        ask(database_server, f"DROP ROLE {name}")


async def test_a_swap_that_fails_gives_the_database_its_name_back(
    fresh_database_url: str, database_server: str
) -> None:
    ask(fresh_database_url, "CREATE TABLE left_over (a int)")
    name = str(conninfo_to_dict(fresh_database_url)["dbname"])

    async with await psycopg.AsyncConnection.connect(database_server, autocommit=True) as server:
        with pytest.raises(psycopg.Error, match="no_such_database"):
            await swap(server, name, "no_such_database")

    assert ask(fresh_database_url, "SELECT count(*) FROM left_over") == [(0,)]


def others(url: str) -> list[tuple[object, ...]]:
    """Return the databases that a rebuild has left behind."""
    name = f"{str(conninfo_to_dict(url)['dbname'])[:40]}_platform_reset"
    return ask(url, "SELECT datname FROM pg_database WHERE datname = %s", name)

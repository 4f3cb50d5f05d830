"""`Idempotency-Key` against the real server and a real PostgreSQL."""

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import httpx2
import psycopg
import pytest

from tests.api.shapes import assert_error
from tests.e2e.patience import patiently
from tests.e2e.serve import listening
from tests.processes import Program

AT_ONCE = 20
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory, worker_database: str) -> Iterator[Program]:
    folder = tmp_path_factory.mktemp("serve")
    with listening(folder, DATABASE_URL=worker_database) as program:
        yield program


@pytest.fixture
def user() -> str:
    """Somebody new, for the server and its database are shared."""
    return f"user-{uuid4()}"


def create(
    program: Program, user: str, *, key: str = "k-1", name: str = "Storyboard"
) -> httpx2.Response:
    return patiently(
        lambda: httpx2.post(
            f"http://127.0.0.1:{program.port}/api/v1/projects",
            headers={"x-user-id": user, "idempotency-key": key},
            json={"name": name},
            timeout=15,
        )
    )


def ask(url: str, statement: str, *values: object) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode(), values)
        return cursor.fetchall() if cursor.description else []


def projects_of(user: str, url: str) -> object:
    ((number,),) = ask(url, "SELECT count(*) FROM projects WHERE owner = %s", user)
    return number


def test_twenty_at_once_create_one_project(
    program: Program, user: str, worker_database: str
) -> None:
    with ThreadPoolExecutor(AT_ONCE) as threads:
        answers = list(threads.map(lambda _: create(program, user), range(AT_ONCE)))
    last = create(program, user)

    created = [answer for answer in answers if answer.status_code == 201]
    first = [answer for answer in created if "idempotency-replayed" not in answer.headers]
    assert len(first) == 1
    assert {answer.content for answer in (*created, last)} == {first[0].content}
    assert last.headers["idempotency-replayed"] == "true"
    for refused in (answer for answer in answers if answer.status_code != 201):
        assert_error(refused, 409, "idempotency_key_in_use")
    assert projects_of(user, worker_database) == 1


def test_each_of_many_keys_creates_its_project(
    program: Program, user: str, worker_database: str
) -> None:
    def create_numbered(number: int) -> int:
        return create(program, user, key=f"k-{number}", name=f"{number}").status_code

    with ThreadPoolExecutor(8) as threads:
        statuses = threads.map(create_numbered, [n % AT_ONCE for n in range(3 * AT_ONCE)])

    assert set(statuses) <= {201, 409}
    assert projects_of(user, worker_database) == AT_ONCE


def test_another_body_is_refused_and_an_expired_key_runs_again(
    program: Program, user: str, worker_database: str
) -> None:
    assert create(program, user).status_code == 201
    assert_error(create(program, user, name="Film"), 422, "idempotency_key_reused")

    ask(worker_database, "UPDATE idempotency_keys SET expires_at = now() WHERE caller = %s", user)
    film = create(program, user, name="Film")

    assert film.status_code == 201
    assert "idempotency-replayed" not in film.headers


def test_a_server_forgets_expired_keys_when_it_starts(
    tmp_path: Path, fresh_database_url: str
) -> None:
    ask(
        fresh_database_url,
        "INSERT INTO idempotency_keys VALUES ('a', 'b', 'c', '', 204, NULL, '', now())",
    )

    with listening(tmp_path, DATABASE_URL=fresh_database_url):
        wait_for(fresh_database_url, "SELECT count(*) FROM idempotency_keys", 0)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Sends POSIX signals.")
def test_a_server_killed_before_the_answer_is_kept_leaves_nothing(
    tmp_path: Path, fresh_database_url: str
) -> None:
    url = fresh_database_url
    ask(
        url,
        """
        CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_sleep(4); RETURN NEW; END $$;
        CREATE TRIGGER dawdle BEFORE INSERT ON idempotency_keys
            FOR EACH ROW EXECUTE FUNCTION dawdle();
        """,
    )
    with listening(tmp_path, DATABASE_URL=url) as program, ThreadPoolExecutor(1) as threads:
        asking = threads.submit(create, program, "alice")
        wait_for(url, WAITING, 1)
        assert_error(create(program, "alice"), 409, "idempotency_key_in_use")
        program.signal(signal.SIGKILL)
        assert isinstance(asking.exception(15), httpx2.TransportError)
    wait_for(url, WAITING, 0)
    assert projects_of("alice", url) == 0
    ask(url, "DROP TRIGGER dawdle ON idempotency_keys")

    with listening(tmp_path, DATABASE_URL=url) as program:
        repeated = create(program, "alice")

    assert repeated.status_code == 201
    assert "idempotency-replayed" not in repeated.headers
    assert projects_of("alice", url) == 1


def wait_for(url: str, count: str, expected: int) -> None:
    """Ask until PostgreSQL counts so many; no event of ours tells what happens there."""
    until = time.monotonic() + 10
    while ask(url, count) != [(expected,)]:
        assert time.monotonic() < until, f"{count} never became {expected}"
        time.sleep(0.05)

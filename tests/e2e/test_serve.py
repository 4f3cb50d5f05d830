"""The command `serve`, from the first start to the last answer."""

import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from platform_infrastructure.postgres.embedded import EmbeddedPostgres
from tests.api.shapes import assert_error
from tests.databases import database_url as database_url_of
from tests.databases import drop_database
from tests.e2e.hardening.client import TEXT, Client, connected, frame
from tests.e2e.serve import listening, run, started
from tests.infrastructure.postgres.test_parameters import ENVIRONMENT
from tests.processes import Program

ORIGIN = "https://app.example.com"
KILL_ALL_OF = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"


def client(program: Program, **headers: str) -> httpx2.Client:
    return httpx2.Client(
        base_url=f"http://127.0.0.1:{program.port}", headers={"x-user-id": "alice", **headers}
    )


def create(program: Program, name: str) -> httpx2.Response:
    with client(program) as http:
        return http.post("/api/v1/projects", json={"name": name})


def test_a_newcomer_needs_no_database_and_finds_the_data_again(tmp_path: Path) -> None:
    with listening(tmp_path) as program:
        with client(program) as http:
            assert http.get("/health/ready").status_code == 200
        created = create(program, "Storyboard")
        assert created.status_code == 201
        program.signal()
        assert program.exit_code() == 0

    # The embedded server is what it is, whatever other PostgreSQL the shell is set up for.
    with listening(tmp_path, **ENVIRONMENT) as program, client(program) as http:
        found = http.get(f"/api/v1/projects/{created.json()['id']}")

    assert found.status_code == 200
    assert found.json() == created.json()


def test_start_up_is_a_short_story(tmp_path: Path, database_url: str) -> None:
    with listening(tmp_path, DATABASE_URL=database_url) as program:
        story = program.output

    for part in ("Platform 0.", "in development", "Using PostgreSQL at", "Ready: database ("):
        assert part in story
    assert len(story.splitlines()) <= 10
    assert "Traceback" not in story
    assert str(psycopg.conninfo.conninfo_to_dict(database_url).get("password")) not in story


def test_a_second_server_in_the_same_folder_is_told_who_is_there(tmp_path: Path) -> None:
    with listening(tmp_path), started(tmp_path) as second:
        assert second.exit_code() == 1
        assert "Traceback" not in second.output
        assert ".dev/postgres" in second.output


def test_production_without_its_settings_fails_at_once_and_names_them(tmp_path: Path) -> None:
    code, output = run("serve", folder=tmp_path, APP_ENV="production")

    assert code == 1
    assert "DATABASE_URL" in output
    assert "AUTHENTICATOR" in output
    assert "Traceback" not in output
    assert not (tmp_path / ".dev").exists(), "nothing is started that was not asked for"


@pytest.mark.parametrize(
    ("setting", "settings"),
    [
        ("PORT", {}),
        ("ADMIN_PORT", {}),
        ("PORT", {"WORKERS": "2"}),
        ("ADMIN_PORT + 1", {"WORKERS": "2"}),
    ],
)
def test_a_taken_port_is_reported_with_its_setting_before_a_postgresql_is_started(
    tmp_path: Path, setting: str, settings: dict[str, str]
) -> None:
    with taken_port() as port:
        name, _, number = setting.partition(" + ")
        settings = settings | {name: str(port - int(number or 0))}
        code, output = run("serve", folder=tmp_path, **settings)

    assert code == 1
    assert f"127.0.0.1:{port} is already in use ({setting})" in output
    assert f"set {name} to another port" in output
    assert "Traceback" not in output
    assert not (tmp_path / ".dev").exists()


@contextmanager
def taken_port() -> Iterator[int]:
    """A port that is in use; the one below it is free."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as taken, socket.socket() as below:
            port = taken.getsockname()[1]
            with suppress(OSError):
                below.bind(("127.0.0.1", port - 1))
                below.close()
                yield port
                return


@pytest.mark.parametrize("name", ["DATABASE_URL", "DATABASE_DIRECT_URL", "VALKEY_URL"])
def test_no_part_of_a_password_with_an_at_sign_is_printed(tmp_path: Path, name: str) -> None:
    scheme = "valkey" if name == "VALKEY_URL" else "postgresql"
    url = f"{scheme}://app:hun@ter2@127.0.0.1:1/0"

    code, output = run("serve", folder=tmp_path, **{name: url})

    assert code == 1
    assert name in output
    assert "@ is %40" in output
    assert "hun" not in output
    assert "ter2" not in output


def test_production_with_events_in_memory_says_so(tmp_path: Path) -> None:
    settings = {
        "APP_ENV": "production",
        "AUTHENTICATOR": "anonymous",
        "DATABASE_URL": "postgresql://app@127.0.0.1:1/app",
    }

    with started(tmp_path, **settings) as program:
        line = program.wait_for("EVENTS_ENGINE=auto keeps events in the memory")

    assert '"level":"WARNING"' in line.string


def test_a_misspelt_setting_in_the_environment_stops_production(tmp_path: Path) -> None:
    code, output = run("serve", folder=tmp_path, APP_ENV="production", DATABSE_URL="hunter2")

    assert code == 1
    assert "DATABSE_URL (from environment)" in output
    assert "one letter off DATABASE_URL" in output
    assert "hunter2" not in output


def test_all_bad_settings_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("LOG_LEVEL=LOUD\nDATABASE_POL_MAX_SIZE=5\n")

    code, output = run(
        "serve", folder=tmp_path, PORT="99999", DATABASE_URL="postgres:/app:hunter2@db/x"
    )

    assert code == 1
    for part in ("PORT", "99999", "LOG_LEVEL", ".env line 1", "DATABASE_POOL_MAX_SIZE"):
        assert part in output
    assert "hunter2" not in output
    assert "Traceback" not in output


def test_development_refuses_to_serve_other_machines(tmp_path: Path) -> None:
    code, output = run("serve", folder=tmp_path, HOST="0.0.0.0")

    assert code == 1
    assert "HOST" in output
    assert "APP_ENV=production" in output


def test_the_limits_of_connections_are_what_was_set(tmp_path: Path, database_url: str) -> None:
    settings = {
        "HTTP_MAX_HEAD_FIELDS": "20",
        "HTTP_KEEP_ALIVE_TIMEOUT": "0.1",
        "SOCKETS_MAX_MESSAGE_BYTES": "1024",
    }
    fields = [f"X-Field-{number}: 1" for number in range(19)]
    with listening(tmp_path, DATABASE_URL=database_url, **settings) as program:
        with connected(program.port) as http:
            http.get("/health/live", *fields)
            assert http.answer().status == 200
            assert http.seconds_until_closed() < 2, "the default is 5 s"
        with connected(program.port) as http:
            http.get("/health/live", *fields, "X-Field: 1")
            assert http.answer().status == 431
        with connected(program.port) as http:
            http.upgrade("/api/v1/ws", "X-User-Id: alice")
            http.send(frame(TEXT, bytes(1025)))
            assert http.close_code() == 1009


def test_what_a_page_may_send_is_a_setting_and_what_nobody_reads_is_refused(
    tmp_path: Path, database_url: str
) -> None:
    asked = {
        "origin": ORIGIN,
        "access-control-request-method": "GET",
        "access-control-request-headers": "x-other",
    }
    settings = {"CORS_ORIGINS": ORIGIN, "CORS_HEADERS": "X-Other", "DATABASE_URL": database_url}
    with listening(tmp_path, **settings) as program, client(program) as http:
        granted = http.options("/api/v1/projects", headers=asked)
        for query in ("limit=1_0", "limit=%EF%BC%91", "limit=1&limit=2", "colour=red"):
            assert_error(http.get(f"/api/v1/projects?{query}"), 422, "validation_failed")
        named = http.get("/api/v1/projects?user=alice&limit=1")
        unseen = http.post("/api/v1/projects", json={"name": "\u200b\u2060"})
        disguised = http.post("/api/v1/projects", json={"name": "a\u202egpj.exe"})

    assert granted.status_code == 200
    assert "X-Other" in granted.headers["access-control-allow-headers"]
    assert named.status_code == 200
    for refused in (unseen, disguised):
        assert_error(refused, 422, "validation_failed")


def test_who_asks_before_sending_a_body_hears_the_refusal_first(
    tmp_path: Path, database_url: str
) -> None:
    with listening(tmp_path, DATABASE_URL=database_url) as program:
        with asking_first(program, "X-User-Id: alice", "Content-Length: 900000000") as http:
            assert http.answer().status == 413
        with asking_first(program, "Content-Length: 22") as http:
            assert http.answer().status == 401
        with asking_first(program, "X-User-Id: alice", "Content-Length: 22") as http:
            assert http.answer().status == 100
            http.send(b'{"name": "Storyboard"}')
            assert http.answer().status == 201


@contextmanager
def asking_first(program: Program, *fields: str) -> Iterator[Client]:
    lines = ["POST /api/v1/projects HTTP/1.1", "Host: a", "Content-Type: application/json", *fields]
    with connected(program.port) as http:
        http.send("\r\n".join([*lines, "Expect: 100-continue", "", ""]).encode())
        yield http


def test_every_origin_with_credentials_is_refused(tmp_path: Path) -> None:
    code, output = run("serve", folder=tmp_path, CORS_ORIGINS="*", CORS_CREDENTIALS="true")

    assert code == 1
    assert "CORS_ORIGINS" in output


def test_a_log_line_in_production_is_one_json_object(tmp_path: Path, database_url: str) -> None:
    settings = {
        "APP_ENV": "production",
        "AUTHENTICATOR": "anonymous",
        "DATABASE_URL": database_url,
    }
    with listening(tmp_path, **settings) as program:
        with client(program, **{"x-request-id": "abc-1"}) as http:
            http.get("/api/v1/projects")
        program.signal()
        assert program.exit_code() == 0
        lines = [json.loads(line) for line in program.seen]

    (line,) = [line for line in lines if line.get("route")]
    assert line["method"] == "GET"
    assert line["route"] == line["path"] == "/api/v1/projects"
    assert line["status"] == 200
    assert line["request_id"] == "abc-1"
    assert line["user"] == "anonymous"
    assert line["level"] == "INFO"
    assert line["duration_ms"] > 0


def test_a_schema_that_is_behind_makes_production_unready_not_dead(
    tmp_path: Path, empty_database_url: str
) -> None:
    settings = {
        "APP_ENV": "production",
        "AUTHENTICATOR": "anonymous",
        "DATABASE_URL": empty_database_url,
        "DATABASE_HEALTH_INTERVAL": "0.1",
    }
    with listening(tmp_path, **settings) as program, client(program) as http:
        assert "run `platform migrate`" in program.output
        assert_error(http.get("/health/ready"), 503, "not_ready")
        assert http.get("/health/live").status_code == 200
        assert_error(http.get("/api/v1/projects"), 503, "unavailable")

        code, output = run("platform", "migrate", folder=tmp_path, **settings)
        program.wait_for("PostgreSQL is back")

        assert code == 0, output
        assert http.get("/health/ready").status_code == 200
        assert http.get("/api/v1/projects").status_code == 200
        assert "Traceback" not in program.output


def test_a_database_that_comes_back_before_the_deadline_is_used(tmp_path: Path) -> None:
    postgres = EmbeddedPostgres(None)
    postgres.start()
    try:
        url = postgres.url
        stop_but_keep = postgres.pid
        os.kill(stop_but_keep, signal.SIGSTOP)
        with started(tmp_path, DATABASE_URL=url, DATABASE_CONNECT_TIMEOUT="1") as program:
            program.wait_for(r"not there yet \(attempt 1\)")
            os.kill(stop_but_keep, signal.SIGCONT)
            program.wait_until_listening()
    finally:
        postgres.stop()


def test_a_database_that_never_comes_ends_the_start(tmp_path: Path) -> None:
    url = "postgresql://app:hunter2@127.0.0.1:1/app"

    code, output = run("serve", folder=tmp_path, DATABASE_URL=url, DATABASE_CONNECT_DEADLINE="0.5")

    assert code == 1
    assert "127.0.0.1:1/app cannot be used" in output
    assert "Traceback" not in output
    assert "hunter2" not in output


def test_a_database_of_another_encoding_is_refused_with_the_reason(
    tmp_path: Path, database_server: str, worker_name: str
) -> None:
    name = f"{worker_name}_latin1"
    latin1 = "ENCODING 'LATIN1' LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0"
    with psycopg.connect(database_server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} {latin1}".encode())
    try:
        with started(tmp_path, DATABASE_URL=database_url_of(database_server, name)) as program:
            assert program.exit_code() == 1
    finally:
        drop_database(database_server, name)

    assert "the encoding of the database is LATIN1, and it must be UTF8" in program.output
    assert "Next attempt" not in program.output
    assert "Traceback" not in program.output


def test_a_request_in_flight_is_answered_before_the_stop(
    tmp_path: Path, fresh_database_url: str
) -> None:
    """The request waits for a lock that is only released after the signal."""
    answers: list[httpx2.Response] = []
    with (
        psycopg.connect(fresh_database_url) as holder,
        listening(tmp_path, DATABASE_URL=fresh_database_url, DATABASE_LOCK_TIMEOUT="5") as program,
    ):
        holder.execute("LOCK TABLE projects")
        asking = threading.Thread(target=lambda: answers.append(create(program, "Storyboard")))
        asking.start()
        wait_until_blocked(fresh_database_url)

        program.signal()
        program.wait_for("Draining: 1 requests in flight")
        holder.rollback()

        assert program.exit_code() == 0
        asking.join(10)
        assert "1 requests finished, 0 cancelled" in program.output

    assert [answer.status_code for answer in answers] == [201]
    assert answers[0].headers["connection"] == "close"


def test_a_request_that_takes_too_long_is_told_so(tmp_path: Path, fresh_database_url: str) -> None:
    answers: list[httpx2.Response] = []
    settings = {"DATABASE_URL": fresh_database_url, "SHUTDOWN_REQUESTS_TIMEOUT": "0.2"}
    with (
        psycopg.connect(fresh_database_url) as holder,
        listening(tmp_path, DATABASE_LOCK_TIMEOUT="25", **settings) as program,
    ):
        holder.execute("LOCK TABLE projects")
        asking = threading.Thread(target=lambda: answers.append(create(program, "Storyboard")))
        asking.start()
        wait_until_blocked(fresh_database_url)

        program.signal()

        assert program.exit_code() == 0
        asking.join(10)

    assert_error(answers[0], 503, "shutting_down")
    assert answers[0].headers["retry-after"] == "1"


def test_a_probe_during_the_delay_is_told_to_leave(tmp_path: Path, database_url: str) -> None:
    settings = {"DATABASE_URL": database_url, "SHUTDOWN_DELAY": "2"}
    with listening(tmp_path, **settings) as program, connected(program.port) as probe:
        probe.get("/health/ready")
        assert probe.answer().status == 200
        program.signal()
        program.wait_for("Draining")

        probe.get("/health/ready")
        answer = probe.answer()

        assert (answer.status, answer.headers["connection"]) == (503, "close")
        assert probe.rest() == b""


def wait_until_blocked(url: str) -> None:
    blocked = (
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        " AND datname = current_database()"
    )
    with psycopg.connect(url, autocommit=True) as observer:
        for _ in range(1000):
            if observer.execute(blocked).fetchone() == (1,):
                return
            observer.execute("SELECT pg_sleep(0.01)")
    raise AssertionError("no request ever waited for the lock")


def test_a_real_browser_origin_is_answered_on_success_and_failure(
    tmp_path: Path, database_url: str
) -> None:
    with (
        listening(tmp_path, DATABASE_URL=database_url, CORS_ORIGINS=ORIGIN) as program,
        client(program, origin=ORIGIN) as http,
    ):
        ok = http.get("/api/v1/projects")
        not_found = http.get("/nowhere")
        foreign = http.get("/api/v1/projects", headers={"origin": "https://evil.example.com"})

    assert ok.headers["access-control-allow-origin"] == ORIGIN
    assert not_found.headers["access-control-allow-origin"] == ORIGIN
    assert "access-control-allow-origin" not in foreign.headers


def test_a_violated_constraint_shows_no_sql_and_no_name(tmp_path: Path, database_url: str) -> None:
    with listening(tmp_path, DATABASE_URL=database_url) as program:
        create(program, "Storyboard")
        again = create(program, "Storyboard")

    assert_error(again, 409, "project_name_taken")
    for secret in ("projects_owner_name_key", "INSERT", "duplicate", "Key ("):
        assert secret not in again.text


def test_a_schema_that_lost_a_table_is_a_bug_told_once_and_answered_clean(
    tmp_path: Path, fresh_database_url: str
) -> None:
    with listening(tmp_path, DATABASE_URL=fresh_database_url) as program:
        with psycopg.connect(fresh_database_url, autocommit=True) as connection:
            connection.execute("DROP TABLE projects CASCADE")
        answer = create(program, "Storyboard")
        with client(program) as http:
            assert http.get("/health/live").status_code == 200
        program.signal()
        assert program.exit_code() == 0

    details = assert_error(answer, 500, "internal_error")
    assert "projects" not in answer.text
    assert program.output.count("Traceback") == 1
    assert program.output.count("UndefinedTable") == 2  # The line, and the end of its trace.
    assert details["request_id"] in program.output


def test_a_stored_value_that_cannot_be_read_is_one_line_with_query_and_column(
    tmp_path: Path, fresh_database_url: str
) -> None:
    with listening(tmp_path, DATABASE_URL=fresh_database_url, LOG_FORMAT="json") as program:
        create(program, "Storyboard")
        with psycopg.connect(fresh_database_url, autocommit=True) as connection:
            connection.execute("UPDATE projects SET updated_at = 'infinity'")
        with client(program) as http:
            answer = http.get("/api/v1/projects")
        program.signal()
        assert program.exit_code() == 0

    assert_error(answer, 500, "internal_error")
    lines = [json.loads(line) for line in program.output.splitlines() if '"ERROR"' in line]
    assert [(line["error"], line["message"]) for line in lines] == [
        ("UnreadableError", "Request failed")
    ]
    assert lines[0]["reason"].startswith("ListProjects, column updated_at: ")


def test_the_admin_port_tells_what_the_public_does_not(tmp_path: Path, database_url: str) -> None:
    with listening(tmp_path, DATABASE_URL=database_url) as program:
        report = httpx2.get(f"http://127.0.0.1:{program.admin_port}/health").json()
        with client(program) as http:
            assert_error(http.get("/health"), 404, "route_not_found")

    assert report["status"] == "up"
    assert "database" in [dependency["name"] for dependency in report["dependencies"]]


def test_the_admin_port_withstands_dns_rebinding(tmp_path: Path, database_url: str) -> None:
    with listening(tmp_path, DATABASE_URL=database_url) as program:
        address = f"http://127.0.0.1:{program.admin_port}/health"
        rebound = httpx2.get(address, headers={"host": "evil.example.com"})
        ours = httpx2.get(address, headers={"host": "localhost"})

    assert_error(rebound, 400, "host_not_allowed")
    assert ours.status_code == 200
    for answer in (rebound, ours):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.skipif(sys.platform != "linux", reason="Elsewhere 127.0.0.2 is no address.")
def test_on_all_interfaces_the_admin_port_answers_to_addresses(
    tmp_path: Path, database_url: str
) -> None:
    production = {"APP_ENV": "production", "AUTHENTICATOR": "anonymous", "LOG_FORMAT": "pretty"}
    with listening(
        tmp_path, DATABASE_URL=database_url, ADMIN_HOST="0.0.0.0", **production
    ) as program:
        probe = httpx2.get(f"http://127.0.0.2:{program.admin_port}/health/ready")
        named = httpx2.get(
            f"http://127.0.0.2:{program.admin_port}/health", headers={"host": "evil.example.com"}
        )

    assert probe.status_code == 200
    assert_error(named, 400, "host_not_allowed")


def test_a_database_that_is_lost_fails_health_without_naming_the_role(
    tmp_path: Path, fresh_database_url: str, database_server: str
) -> None:
    role, renamed = f"app_{os.getpid()}", f"gone_{os.getpid()}"
    database = conninfo_to_dict(fresh_database_url)["dbname"]
    with psycopg.connect(database_server, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {role} SUPERUSER LOGIN PASSWORD 'app'".encode())
        try:
            place = fresh_database_url.partition("@")[2]
            url = f"postgresql://{role}:app@{place}"
            with listening(tmp_path, DATABASE_URL=url, DATABASE_HEALTH_INTERVAL="0.1") as program:
                address = f"http://127.0.0.1:{program.admin_port}/health"
                before = httpx2.get(address)
                admin.execute(f"ALTER ROLE {role} RENAME TO {renamed}".encode())
                admin.execute(KILL_ALL_OF, [database])
                line = program.wait_for("PostgreSQL does not work")
                answer = httpx2.get(address)
        finally:
            admin.execute(KILL_ALL_OF, [database])
            for name in (role, renamed):
                admin.execute(f"DROP ROLE IF EXISTS {name}".encode())

    assert before.status_code == 200
    details = assert_error(answer, 503, "unhealthy")
    assert (details["phase"], details["status"]) == ("ready", "down")
    assert "database" in [each["name"] for each in details["dependencies"]]
    assert role not in answer.text
    assert role in line.string


def test_the_log_level_is_what_was_set_and_a_misspelt_name_is_warned_of(
    tmp_path: Path, database_url: str
) -> None:
    settings = {"DATABASE_URL": database_url, "LOG_LEVEL": "WARNING", "CORS_ORIGIN": ORIGIN}
    with started(tmp_path, **settings) as program:
        program.wait_for("did you mean CORS_ORIGINS")
        program.signal()
        program.exit_code()

    assert " INFO " not in program.output


def test_a_role_that_may_not_migrate_is_told_in_a_sentence(
    tmp_path: Path, empty_database_url: str
) -> None:
    role = f"reader_{os.getpid()}"
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'reader'".encode())
    try:
        parts = psycopg.conninfo.conninfo_to_dict(empty_database_url)
        url = f"postgresql://{role}:reader@{parts['host']}:{parts['port']}/{parts['dbname']}"
        for command in (["serve"], ["platform", "migrate"]):
            code, output = run(*command, folder=tmp_path, DATABASE_URL=url)
            assert code == 1
            assert "cannot be migrated: permission denied" in output
            assert "Traceback" not in output
    finally:
        with psycopg.connect(empty_database_url, autocommit=True) as connection:
            connection.execute(f"DROP ROLE {role}".encode())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_during_the_start_ends_it_without_a_trace(
    tmp_path: Path, number: signal.Signals
) -> None:
    """Modules are still imported then, and the database of our own is on its way."""
    with started(tmp_path) as program:
        program.wait_for("Platform 0.")
        program.signal(number)

        assert program.exit_code() in (0, -number)
    assert "Traceback" not in program.output


@pytest.mark.parametrize("signals", [signal.SIGTERM, signal.SIGINT])
def test_either_signal_ends_it_cleanly(
    tmp_path: Path, database_url: str, signals: signal.Signals
) -> None:
    with listening(tmp_path, DATABASE_URL=database_url) as program:
        program.signal(signals)

        assert program.exit_code() == 0
        assert "Traceback" not in program.output

import pytest
from pydantic import SecretStr, ValidationError

from platform_config import (
    AuthenticatorName,
    DatabaseSettings,
    Environment,
    LogFormat,
    LogLevel,
    LogSettings,
    Settings,
    ShutdownSettings,
    load,
)
from tests.config.reading import names, only_problem, refused

PRODUCTION = {
    "APP_ENV": "production",
    "DATABASE_URL": "postgresql://app:hunter2@db/app",
    "AUTHENTICATOR": "anonymous",
}


def test_a_developer_needs_to_set_nothing() -> None:
    settings = load({}, None).settings

    assert settings == Settings()
    assert settings.development
    assert settings.database.url is None
    assert settings.auth.authenticator is AuthenticatorName.DEVELOPMENT
    assert (settings.server.host, settings.server.port) == ("127.0.0.1", 8000)


def test_every_kind_of_value_is_understood() -> None:
    environ = {
        "PORT": "0",
        "SHUTDOWN_DELAY": "1.5",
        "CORS_ORIGINS": "https://app.example.com, http://localhost:5173 ,tauri://localhost",
        "CORS_CREDENTIALS": "true",
        "LOG_LEVEL": "warning",
        "HOST": "::1",
    }

    settings = load(environ, None).settings

    assert settings.server.port == 0
    assert settings.shutdown.delay == 1.5
    assert settings.cors.origins == (
        "https://app.example.com",
        "http://localhost:5173",
        "tauri://localhost",
    )
    assert settings.cors.credentials
    assert settings.log.level is LogLevel.WARNING
    assert settings.server.host == "::1"


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        Settings().server.port = 1  # type: ignore[misc]


def test_a_section_can_be_built_by_field_name() -> None:
    database = DatabaseSettings(url=SecretStr("postgresql://localhost/x"), pool_max_size=4)

    assert database.pool_max_size == 4
    assert database.pool_min_size == 2


def test_the_orchestrator_must_wait_longer_than_the_watchdog() -> None:
    watchdog = ShutdownSettings().watchdog
    settings = load({"SHUTDOWN_ORCHESTRATOR_PERIOD": f"{watchdog + 1:g}"}, None).settings

    problem = only_problem({"SHUTDOWN_ORCHESTRATOR_PERIOD": f"{watchdog:g}"})

    assert settings.shutdown.orchestrator_period == watchdog + 1
    assert f"more than the {watchdog:g} seconds" in problem.expected
    assert "SHUTDOWN_REQUESTS_TIMEOUT" in problem.fix


def test_a_parent_of_workers_takes_longer_to_stop_than_one_of_them() -> None:
    longest = ShutdownSettings().parent_watchdog
    several = {"SHUTDOWN_ORCHESTRATOR_PERIOD": f"{longest:g}", "WORKERS": "2"}

    assert longest > ShutdownSettings().worker_timeout > ShutdownSettings().watchdog
    assert f"more than the {longest:g} seconds" in only_problem(several).expected
    load({**several, "WORKERS": "1"}, None)
    load({**several, "SHUTDOWN_ORCHESTRATOR_PERIOD": f"{longest + 1:g}"}, None)


def test_a_client_has_more_time_for_a_sign_of_life_than_between_two_pings() -> None:
    problem = only_problem({"SOCKETS_PING_INTERVAL": "40"})

    assert problem.name == "SOCKETS_PONG_TIMEOUT"
    assert problem.found == 'SOCKETS_PONG_TIMEOUT="40" with SOCKETS_PING_INTERVAL="40"'
    load({"SOCKETS_PING_INTERVAL": "39"}, None)


@pytest.mark.parametrize("name", ["POOL_TIMEOUT", "STATEMENT_TIMEOUT", "LOCK_TIMEOUT"])
def test_a_step_of_a_request_takes_less_time_than_the_request(name: str) -> None:
    problem = only_problem({f"DATABASE_{name}": "30"})

    assert problem.name == f"DATABASE_{name}"
    assert problem.found.endswith('HTTP_REQUEST_TIMEOUT="30"')


def test_production_warns_of_any_host_name_and_of_events_that_stay_in_one_process() -> None:
    hosts, events = load(PRODUCTION, None).warnings

    assert hosts.startswith("HTTP_ALLOWED_HOSTS=*")
    assert events.startswith("EVENTS_ENGINE=auto keeps events in the memory of this process")


@pytest.mark.parametrize(
    "chosen",
    [
        {"EVENTS_ENGINE": "memory"},
        {"EVENTS_ENGINE": "postgres"},
        {"WORKERS": "2"},
        {"VALKEY_URL": "valkey://localhost"},
        {"APP_ENV": "development"},
    ],
)
def test_events_that_reach_other_machines_or_were_chosen_not_to_cause_no_warning(
    chosen: dict[str, str],
) -> None:
    environ = {**PRODUCTION, "HTTP_ALLOWED_HOSTS": "api.example.com", **chosen}

    assert load(environ, None).warnings == ()


@pytest.mark.parametrize(
    "text", ["1_0", "+10", " 10", "10 ", "1e1", "10.0", "010", "0x10", "\uff11\uff10"]
)
def test_a_whole_number_is_written_in_one_way(text: str) -> None:
    assert only_problem({"WORKERS": text}).expected == "a whole number from 1 to 64"


@pytest.mark.parametrize("text", ["1_0.5", "+1.5", " 1.5", ".5", "5.", "\uff11.\uff15", "infinity"])
def test_a_number_is_written_as_in_json(text: str) -> None:
    assert only_problem({"SHUTDOWN_DELAY": text}).expected == "a number from 0 to 31536000"


def test_a_number_of_thousands_of_digits_is_refused_and_cut_in_the_report() -> None:
    problem = only_problem({"PORT": "9" * 5000})

    assert problem.expected == "a whole number from 0 to 65535"
    assert len(problem.found) < 250


@pytest.mark.parametrize(
    ("name", "text", "meant"),
    [
        ("APP_ENV", "prod", "production"),
        ("APP_ENV", "PRD", "production"),
        ("APP_ENV", "live", "production"),
        ("APP_ENV", "staging", "production"),
        ("APP_ENV", "producton", "production"),
        ("APP_ENV", "dev", "development"),
        ("APP_ENV", "local", "development"),
        ("LOG_LEVEL", "warn", "WARNING"),
        ("EVENTS_ENGINE", "postgresql", "postgres"),
    ],
)
def test_a_wrong_word_gets_the_one_that_is_probably_meant(name: str, text: str, meant: str) -> None:
    fix = only_problem({name: text}).fix

    assert fix == f"did you mean {meant}? Give {name} such a value, e.g. {name}={meant}"


def test_a_slash_at_the_end_of_an_origin_is_pointed_at() -> None:
    problem = only_problem({"CORS_ORIGINS": "http://localhost:5173/"})

    assert "Write http://localhost:5173 without the slash at the end" in problem.expected


def test_grace_is_the_sum_of_the_steps_and_the_watchdog_waits_longer() -> None:
    shutdown = ShutdownSettings(delay=1, requests_timeout=2, sockets_timeout=3, stop_timeout=4)

    assert shutdown.grace == 10
    assert shutdown.watchdog == 20


@pytest.mark.parametrize(
    ("chosen", "environment", "resolved"),
    [
        (LogFormat.AUTO, Environment.DEVELOPMENT, LogFormat.PRETTY),
        (LogFormat.AUTO, Environment.PRODUCTION, LogFormat.JSON),
        (LogFormat.JSON, Environment.DEVELOPMENT, LogFormat.JSON),
        (LogFormat.PRETTY, Environment.PRODUCTION, LogFormat.PRETTY),
    ],
)
def test_the_log_format_follows_the_environment_unless_named(
    chosen: LogFormat, environment: Environment, resolved: LogFormat
) -> None:
    assert LogSettings(format=chosen).format_in(environment) is resolved


@pytest.mark.parametrize("seconds", ["0", "1.9", "1e9"])
def test_a_worker_has_at_least_two_seconds_to_show_life(seconds: str) -> None:
    assert only_problem({"WORKER_STALL_TIMEOUT": seconds}).name == "WORKER_STALL_TIMEOUT"
    assert load({"WORKER_STALL_TIMEOUT": "2"}, None).settings.server.worker_stall_timeout == 2


@pytest.mark.parametrize("name", ["HOST", "ADMIN_HOST"])
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "example.com"])
def test_development_refuses_to_serve_other_machines(name: str, host: str) -> None:
    problem = only_problem({name: host})

    assert problem.name == name
    assert host in problem.found
    assert "APP_ENV=production" in problem.fix


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_development_serves_this_machine(host: str) -> None:
    assert load({"HOST": host}, None).settings.server.host == host


def test_production_serves_other_machines() -> None:
    settings = load({**PRODUCTION, "HOST": "0.0.0.0"}, None).settings

    assert not settings.development
    assert settings.server.host == "0.0.0.0"
    assert settings.auth.authenticator is AuthenticatorName.ANONYMOUS


def test_production_needs_a_database_and_a_named_authenticator() -> None:
    error = refused({"APP_ENV": "production"})

    assert names(error) == ["DATABASE_URL", "AUTHENTICATOR"]
    assert "not set" in str(error)


def test_production_refuses_the_development_authenticator() -> None:
    assert only_problem({**PRODUCTION, "AUTHENTICATOR": "development"}).name == "AUTHENTICATOR"


def test_any_origin_together_with_credentials_is_refused() -> None:
    problem = only_problem({"CORS_ORIGINS": "*", "CORS_CREDENTIALS": "true"})

    assert problem.name == "CORS_ORIGINS"
    assert problem.found == 'CORS_ORIGINS="*" with CORS_CREDENTIALS="true"'
    assert load({"CORS_ORIGINS": "*"}, None).settings.cors.origins == ("*",)


@pytest.mark.parametrize(
    "origin",
    [
        "app.example.com",
        "https://app.example.com/",
        "https://app.example.com/path",
        "https://App.example.com",
        "https://app.example.com:443",
        "http://localhost:80",
        "https://user@app.example.com",
        "https://*.example.com",
        "https://",
        "https://a.example.com https://b.example.com",
        "null",
    ],
)
def test_an_origin_that_no_browser_sends_is_refused(origin: str) -> None:
    problem = only_problem({"CORS_ORIGINS": f"http://localhost:5173,{origin}"})

    assert problem.name == "CORS_ORIGINS"
    assert "scheme://host" in problem.expected


@pytest.mark.parametrize("header", ["X Other", "X-Other: 1", "X-\u00c4", "(x)"])
def test_a_header_that_no_request_could_have_is_refused(header: str) -> None:
    problem = only_problem({"CORS_HEADERS": f"Content-Type,{header}"})

    assert problem.expected == "names of request headers with commas between; or *"


def test_headers_are_a_list_that_replaces_the_default() -> None:
    headers = load({"CORS_HEADERS": "X-Other, *"}, None).settings.cors.headers

    assert headers == ("X-Other", "*")
    assert "Traceparent" in load({}, None).settings.cors.headers


def test_a_pool_cannot_be_smaller_than_its_smallest_size() -> None:
    problem = only_problem({"DATABASE_POOL_MIN_SIZE": "11"})

    assert problem.name == "DATABASE_POOL_MIN_SIZE"
    assert 'DATABASE_POOL_MAX_SIZE="10"' in problem.found


def test_clients_and_admins_have_ports_of_their_own() -> None:
    problem = only_problem({"PORT": "9000"})

    assert (problem.name, problem.origin) == ("ADMIN_PORT", "default")
    assert load({"PORT": "0", "ADMIN_PORT": "0"}, None).settings.server.admin_port == 0


def test_no_worker_has_its_admin_port_where_the_clients_are() -> None:
    problem = only_problem({"PORT": "9003", "WORKERS": "4"})

    assert problem.name == "ADMIN_PORT"
    assert 'WORKERS="4"' in problem.found
    assert load({"PORT": "9003", "WORKERS": "3"}, None).settings.server.workers == 3


def test_every_worker_has_an_admin_port_that_exists() -> None:
    problem = only_problem({"ADMIN_PORT": "65534", "WORKERS": "3"})

    assert problem.name == "ADMIN_PORT"
    assert "65535" in problem.expected
    assert load({"ADMIN_PORT": "65534", "WORKERS": "2"}, None).settings.server.workers == 2


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://app:secret@db:5432/app",
        "postgresql://app:hun%40ter2@db/app",
        "postgresql://alice%40example.com:secret@db/app?password=hun%40ter2",
        "postgres://db",
        "postgresql://a:1,b:2/app",
        "postgresql://[::1]:5432/app",
        "postgresql:///app?host=/var/run/postgresql",
        "postgresql://%2Fvar%2Frun%2Fpostgresql/app",
    ],
)
def test_a_database_url_names_a_host_or_a_socket(url: str) -> None:
    found = load({"DATABASE_URL": url}, None).settings.database.url

    assert found is not None
    assert found.get_secret_value() == url


@pytest.mark.parametrize(
    "url",
    [
        "mysql://db/app",
        "postgresql:///app",
        "postgresql:db",
        "postgresql://app:se#cret@db/app",
        "postgresql://db:port/app",
        "postgresql://app:hun@ter2@db/app",
        "postgresql://alice@example.com:hunter2@db/app",
        "postgresql://app:12/ter2@db/app",
        "postgresql://app:12?ter2@db/app",
        "postgresql://app:12#ter2@db/app",
        "postgresql://app@db/app?password=hun@ter2",
        "postgresql://app:ter2%@db/app",
        "postgresql://app:ter2%00@db/app",
        "postgresql://[::1/app",
        "host=db dbname=app",
    ],
)
def test_a_database_url_of_another_shape_is_refused(url: str) -> None:
    problem = only_problem({"DATABASE_URL": url})

    assert problem.expected.startswith("postgresql://")
    assert "percent-encode special characters" in problem.expected
    assert "@ is %40" in problem.expected
    for part in (url, "hun", "ter2"):
        assert part not in str(problem)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("PORT", "99999", "a whole number from 0 to 65535"),
        ("PORT", "eighty", "a whole number from 0 to 65535"),
        ("SHUTDOWN_DELAY", "-1", "a number from 0 to 31536000"),
        ("SHUTDOWN_DELAY", "inf", "a number from 0 to 31536000"),
        ("SHUTDOWN_DELAY", "nan", "a number from 0 to 31536000"),
        ("SHUTDOWN_DELAY", "1e999", "a number from 0 to 31536000"),
        ("HTTP_BODY_TIMEOUT", "31536001", "a number from 0.001 to 31536000"),
        ("SOCKETS_PING_INTERVAL", "0.0004", "a number from 0.001 to 31536000"),
        ("DATABASE_STATEMENT_TIMEOUT", "5s", "a number from 0.001 to 1000000"),
        ("DATABASE_LOCK_TIMEOUT", "0", "a number from 0.001 to 1000000"),
        ("DATABASE_LOCK_TIMEOUT", "0.0004", "a number from 0.001 to 1000000"),
        ("DATABASE_POOL_MAX_SIZE", "0", "a whole number from 1 to 1000000000"),
        ("HTTP_MAX_IN_FLIGHT", "1" + "0" * 150, "a whole number from 1 to 1000000000"),
        ("CORS_CREDENTIALS", "maybe", "true or false"),
        ("HTTP_MAX_HEAD_BYTES", "1", "a whole number from 1024 to 1048576"),
        ("HTTP_MAX_HEAD_FIELDS", "many", "a whole number from 20 to 1000"),
        ("HTTP_SEND_TIMEOUT", "31", "a number from 0.001 to 30"),
        ("HTTP_HEAD_TIMEOUT", "0", "a number from 0.001 to 31536000"),
        ("SOCKETS_MAX_MESSAGE_BYTES", "16777217", "a whole number from 1024 to 16777216"),
        ("LOG_LEVEL", "loud", "one of DEBUG, INFO, WARNING or ERROR"),
        ("APP_ENV", "prod", "one of development or production"),
        ("AUTHENTICATOR", "oauth", "one of development or anonymous"),
    ],
)
def test_a_wrong_value_is_explained_in_human_words(name: str, text: str, expected: str) -> None:
    problem = only_problem({name: text})

    assert problem.name == name
    assert problem.found == f'"{text}"'
    assert problem.expected == expected
    assert f"e.g. {name}=" in problem.fix


@pytest.mark.parametrize(
    "host", ["https://a.example", "a.example:8000", "10.0.0.7:80", "a.example/", "[::1]"]
)
def test_a_host_name_that_no_request_could_have_is_refused(host: str) -> None:
    assert only_problem({"HTTP_ALLOWED_HOSTS": f"b.example,{host}"}).name == "HTTP_ALLOWED_HOSTS"


def test_host_names_are_names_and_addresses() -> None:
    hosts = "api.example.com, 10.0.0.7, ::1, Upper.example"

    assert len(load({"HTTP_ALLOWED_HOSTS": hosts}, None).settings.http.allowed_hosts) == 4

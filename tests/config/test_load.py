import os
from pathlib import Path

import pytest

from platform_config import load
from tests.config.reading import names, only_problem, refused, written

ORDINARY_NAMES = """
    PATH HOME HOSTNAME HOSTTYPE MACHTYPE OSTYPE LOGNAME USER USERNAME SHELL SHLVL TERM LANG
    LC_ALL PWD OLDPWD TMPDIR TMP TEMP EDITOR PAGER DISPLAY MAIL COLUMNS LINES VIRTUAL_ENV
    PYTHONPATH PYTHONUNBUFFERED XDG_RUNTIME_DIR XDG_SESSION_ID DBUS_SESSION_BUS_ADDRESS
    SSH_AUTH_SOCK SSH_CONNECTION SSH_CLIENT GPG_KEY COMPUTERNAME USERDOMAIN APPDATA
    LOCALAPPDATA PROGRAMDATA HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy
    CI GITHUB_ACTIONS GITHUB_ENV RUNNER_OS INVOCATION_ID JOURNAL_STREAM NOTIFY_SOCKET
    PORTS PORT0 PORT1 HOSTS POST VHOST
    LISTEN_FDS KUBERNETES_PORT KUBERNETES_SERVICE_HOST KUBERNETES_SERVICE_PORT
    KUBERNETES_PORT_443_TCP_ADDR PLATFORM_SERVICE_HOST PLATFORM_SERVICE_PORT PLATFORM_PORT
    REDIS_PORT REDIS_URL DATABASE_SERVICE_HOST DATABASE_PORT_5432_TCP POSTGRES_PASSWORD PGHOST
    PGPORT PGUSER DYNO RUST_LOG LOG_FILE APP_NAME APP_VERSION NODE_ENV COMPOSE_PROJECT_NAME
"""
MACHINE = dict.fromkeys(ORDINARY_NAMES.split(), "anything")
PRODUCTION = {
    "APP_ENV": "production",
    "DATABASE_URL": "postgresql://app:hunter2@db/app",
    "AUTHENTICATOR": "anonymous",
    "HTTP_ALLOWED_HOSTS": "api.example.com",
    "EVENTS_ENGINE": "memory",
}


def test_the_environment_wins_over_dotenv_over_toml_over_the_default(tmp_path: Path) -> None:
    toml = written(
        tmp_path / "platform.toml",
        'HTTP_MAX_BODY_BYTES = 1\nLOG_LEVEL = "DEBUG"\nLOG_FORMAT = "json"\nPORT = 1\n',
    )
    dotenv = written(tmp_path / ".env", f"PLATFORM_CONFIG={toml}\nLOG_LEVEL=ERROR\nPORT=2\n")

    loaded = load({"PORT": "3"}, dotenv)

    assert loaded.settings.server.port == 3
    assert loaded.settings.log.level == "ERROR"
    assert loaded.settings.log.format == "json"
    assert loaded.settings.server.admin_port == 9000
    assert loaded.origins["PORT"] == "environment"
    assert loaded.origins["LOG_LEVEL"] == f"{dotenv} line 2"
    assert loaded.origins["LOG_FORMAT"] == f"file {toml} (PLATFORM_CONFIG)"
    assert loaded.origins["ADMIN_PORT"] == "default"


def test_by_default_the_process_environment_and_the_folder_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in os.environ:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PORT", "3")
    written(tmp_path / ".env", "\nADMIN_PORT=4\n")

    loaded = load()

    assert (loaded.settings.server.port, loaded.settings.server.admin_port) == (3, 4)
    assert loaded.origins["ADMIN_PORT"] == ".env line 2"


def test_an_empty_value_counts_as_unset(tmp_path: Path) -> None:
    toml = written(tmp_path / "platform.toml", 'LOG_LEVEL = ""\n')
    dotenv = written(tmp_path / ".env", "PORT=2\nDATABASE_URL=\nDATABASE_URL_FILE=\n")

    loaded = load({"PORT": "", "PLATFORM_CONFIG": str(toml)}, dotenv)

    assert loaded.settings.server.port == 2
    assert loaded.settings.database.url is None
    assert loaded.origins["LOG_LEVEL"] == "default"


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    toml = written(tmp_path / "platform.toml", "LOG_LEVEL = 5\nSHUTDOWN = 3\n")
    dotenv = written(tmp_path / ".env", "PROT=1\nPORT=99999\n")
    environ = {
        "PLATFORM_CONFIG": str(toml),
        "HOST": "0.0.0.0",
        "DATABASE_POOL_MIN_SIZE": "20",
        "DATABASE_POOL_TIMEOUT": "soon",
        "DATABASE_URL_FILE": str(tmp_path / "absent"),
    }

    error = refused(environ, dotenv)

    assert sorted(names(error)) == [
        "DATABASE_POOL_MIN_SIZE",
        "DATABASE_POOL_TIMEOUT",
        "DATABASE_URL_FILE",
        "HOST",
        "LOG_LEVEL",
        "PORT",
        "PROT",
        "SHUTDOWN",
    ]


def test_a_refused_value_causes_no_second_problem() -> None:
    assert names(refused({"APP_ENV": "prod", "HOST": "0.0.0.0"})) == ["APP_ENV"]
    assert names(refused({"DATABASE_POOL_MIN_SIZE": "20", "DATABASE_POOL_MAX_SIZE": "many"})) == [
        "DATABASE_POOL_MAX_SIZE"
    ]
    assert names(
        refused(
            {"APP_ENV": "production", "AUTHENTICATOR": "anonymous", "DATABASE_URL_FILE": "/absent"}
        )
    ) == ["DATABASE_URL_FILE"]


def test_several_wrong_parts_of_one_value_are_one_problem() -> None:
    assert names(refused({"CORS_ORIGINS": "a,b,c"})) == ["CORS_ORIGINS"]


@pytest.mark.parametrize("settings", [{}, PRODUCTION])
def test_the_names_of_an_ordinary_machine_raise_no_warning(settings: dict[str, str]) -> None:
    assert load(MACHINE | settings, None).warnings == ()


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("DATABSE_URL", "DATABASE_URL"),
        ("PROT", "PORT"),
        ("PRT", "PORT"),
        ("PORTT", "PORT"),
        ("PORZ", "PORT"),
        ("HOOST", "HOST"),
        ("CORS_ORIGIN", "CORS_ORIGINS"),
        ("DATABASE_URL_FIL", "DATABASE_URL_FILE"),
        ("PLATFORM_CONFG", "PLATFORM_CONFIG"),
    ],
)
def test_a_name_one_letter_off_in_the_environment_is_an_error_in_production(
    name: str, meant: str
) -> None:
    problem = only_problem({**MACHINE, **PRODUCTION, name: "hunter2"})

    assert (problem.name, problem.origin) == (name, "environment")
    assert problem.found == f"an unknown name, one letter off {meant}"
    assert "hunter2" not in str(problem)


@pytest.mark.parametrize("name", ["port", "AUTHENTICATORRR"])
def test_a_name_further_off_is_a_warning_in_production(name: str) -> None:
    (warning,) = load({**MACHINE, **PRODUCTION, name: "1"}, None).warnings

    assert name in warning


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("DATABSE_URL", "DATABASE_URL"),
        ("PROT", "PORT"),
        ("port", "PORT"),
        ("LOG_LEVL", "LOG_LEVEL"),
        ("AUTHENTICATER", "AUTHENTICATOR"),
        ("CORS_ORIGIN", "CORS_ORIGINS"),
        ("DATABASE_URL_FIL", "DATABASE_URL_FILE"),
        ("PLATFORM_CONFG", "PLATFORM_CONFIG"),
    ],
)
def test_a_misspelt_name_in_the_environment_is_a_warning(name: str, meant: str) -> None:
    (warning,) = load({**MACHINE, name: "hunter2"}, None).warnings

    assert name in warning
    assert f"did you mean {meant}?" in warning
    assert "hunter2" not in warning


def test_a_refusal_shows_the_warnings_too() -> None:
    report = str(refused({"PORT": "x", "DATABSE_URL": "postgresql://a:hunter2@b/c"}))

    assert "did you mean DATABASE_URL?" in report
    assert "hunter2" not in report

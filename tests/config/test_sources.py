import json
from pathlib import Path

import pytest

from platform_config import load
from tests.config.reading import names, only_problem, refused, written

URL = "postgresql://app:hunter2@db/app"


@pytest.fixture
def dotenv(tmp_path: Path) -> Path:
    return tmp_path / ".env"


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    return tmp_path / "platform.toml"


def test_a_missing_dotenv_file_is_fine(dotenv: Path) -> None:
    assert load({}, dotenv).settings.server.port == 8000


def test_line_numbers_count_comments_and_empty_lines(dotenv: Path) -> None:
    written(dotenv, "# first\n\n  \nexport PORT=1 # why\n\n\nLOG_LEVEL='error'\n")

    origins = load({}, dotenv).origins

    assert origins["PORT"] == f"{dotenv} line 4"
    assert origins["LOG_LEVEL"] == f"{dotenv} line 7"


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(dotenv: Path) -> None:
    dotenv.write_bytes(b"\xef\xbb\xbfPORT=1\r\n\r\nADMIN_PORT=2\r\n")

    loaded = load({}, dotenv)

    assert (loaded.settings.server.port, loaded.settings.server.admin_port) == (1, 2)
    assert loaded.origins["ADMIN_PORT"] == f"{dotenv} line 3"


def test_a_dollar_in_a_password_stays(dotenv: Path) -> None:
    written(dotenv, "DATABASE_URL=postgresql://app:a${HOME}b@db/app\n")

    url = load({}, dotenv).settings.database.url

    assert url is not None
    assert url.get_secret_value() == "postgresql://app:a${HOME}b@db/app"


def test_an_unknown_name_in_dotenv_is_refused_with_a_hint(dotenv: Path) -> None:
    written(dotenv, f"PORT=1\nDATABSE_URL={URL}\n")

    problem = only_problem({}, dotenv)

    assert (problem.name, problem.origin) == ("DATABSE_URL", f"{dotenv} line 2")
    assert "did you mean DATABASE_URL?" in problem.fix
    assert "hunter2" not in str(problem)


def test_an_unknown_name_that_resembles_nothing_gets_no_hint(dotenv: Path) -> None:
    written(dotenv, "ZZZ=1\n")

    assert only_problem({}, dotenv).fix == "remove it"


def test_the_names_of_the_tests_may_stand_in_dotenv_too(dotenv: Path) -> None:
    written(dotenv, f"TEST_DATABASE_URL={URL}\nPORT=1\n")

    loaded = load({}, dotenv)

    assert loaded.settings.server.port == 1
    assert loaded.settings.database.url is None


@pytest.mark.parametrize("line", ["PORT", "PORT='1", "=hunter2"])
def test_a_line_without_meaning_is_refused_and_not_quoted(dotenv: Path, line: str) -> None:
    written(dotenv, f"LOG_LEVEL=INFO\n{line}\n")

    problem = only_problem({}, dotenv)

    assert problem.name == f"{dotenv} line 2"
    assert "hunter2" not in str(problem)


@pytest.mark.parametrize("content", [None, b"PORT=\xff\n"])
def test_a_dotenv_file_that_cannot_be_read_is_a_problem(
    dotenv: Path, content: bytes | None
) -> None:
    if content is None:
        dotenv.mkdir()
    else:
        dotenv.write_bytes(content)

    assert only_problem({}, dotenv).name == str(dotenv)


@pytest.mark.parametrize("name", ["PORT", "TEST_DATABASE_URL"])
def test_a_name_stands_in_dotenv_once(dotenv: Path, name: str) -> None:
    written(dotenv, f"{name}=1\n\n# again\n{name}=2\n")

    problem = only_problem({}, dotenv)

    assert (problem.name, problem.origin) == (name, f"{dotenv} line 4")
    assert problem.found == f"{name}, which is on line 1 already"


@pytest.mark.parametrize("char", ["\n", "\r", "\t", "\x7f", "\0", "\u200b", "\u202e", "\udcff"])
def test_a_value_is_one_line_of_what_can_be_seen(char: str) -> None:
    problem = only_problem({"HOST": f"127.0.0.1{char}"})

    assert problem.found == f"{json.dumps('127.0.0.1' + char)}, with U+{ord(char):04X}"
    assert problem.expected == "printable characters on one line"
    problem = only_problem({"DATABASE_URL": f"{URL}{char}"})
    assert problem.found == f"a secret, which is not shown, with U+{ord(char):04X}"


def test_every_source_refuses_such_a_value(tmp_path: Path, dotenv: Path, toml: Path) -> None:
    secret = written(tmp_path / "url", f"{URL}\nhunter3\n")
    written(toml, f'DATABASE_URL_FILE = "{secret}"\nHOST = "a\\u0000b"\n')
    written(dotenv, f"PLATFORM_CONFIG={toml}\nADMIN_HOST='a\nb'\nDATABASE_DIRECT_URL='{URL}\n'\n")

    error = refused({"PORT_FILE": "a\0b"}, dotenv)

    assert [(problem.name, problem.origin) for problem in error.problems] == [
        ("HOST", f"file {toml} (PLATFORM_CONFIG)"),
        ("ADMIN_HOST", f"{dotenv} line 2"),
        ("DATABASE_DIRECT_URL", f"{dotenv} line 4"),
        ("PORT_FILE", "environment"),
        ("DATABASE_URL", f"file {secret} (DATABASE_URL_FILE)"),
    ]
    assert "hunter" not in str(error)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("PORT = " + "[" * 5000 + "]" * 5000, "nested too deeply"),
        ("PORT = " + "9" * 5000, "a number of more than 4,300 digits"),
        ("PORT = 0x" + "f" * 5000, "a whole number of more than 64 bits"),
        ("SHUTDOWN_DELAY = nan", '"nan"'),
        ("SHUTDOWN_DELAY = inf", '"inf"'),
        ("SHUTDOWN_DELAY = 1e999", '"1e999"'),
        ("PORT = [1]", "a list or a date"),
        ("PORT = 2026-01-01", "a list or a date"),
        ("PORT.number = 1", "a table"),
        ("[[PORT]]", "a table"),
        ("[database]\nurl = 'x'", "a table"),
        ("PORT = 1\nPORT = 2", "is not TOML"),
    ],
)
def test_a_toml_file_of_other_shapes_is_refused_in_the_usual_form(
    toml: Path, text: str, found: str
) -> None:
    written(toml, text)

    problem = only_problem({"PLATFORM_CONFIG": str(toml)})

    assert found in problem.found or (found == "a table" and "a list" in problem.found)
    assert str(toml) in f"{problem.origin} {problem.found}"


def test_toml_values_have_their_own_types(toml: Path) -> None:
    written(toml, "PORT = 1\nSHUTDOWN_DELAY = 0.5\nCORS_CREDENTIALS = true\nLOG_LEVEL = 'DEBUG'\n")

    settings = load({"PLATFORM_CONFIG": str(toml)}, None).settings

    assert settings.server.port == 1
    assert settings.shutdown.delay == 0.5
    assert settings.cors.credentials
    assert settings.log.level == "DEBUG"


def test_an_unknown_name_or_shape_in_toml_is_refused(toml: Path) -> None:
    written(toml, f"LOG_LEVL = '{URL}'\nPORT = [1]\nPLATFORM_CONFIG = 'x'\n[database]\nurl = 'x'\n")

    error = refused({"PLATFORM_CONFIG": str(toml)})

    assert names(error) == ["LOG_LEVL", "PORT", "PLATFORM_CONFIG", "database"]
    assert error.problems[3].found == "a table"
    assert "did you mean LOG_LEVEL?" in error.problems[0].fix
    assert error.problems[0].origin == f"file {toml} (PLATFORM_CONFIG)"
    assert "hunter2" not in str(error)


def test_a_toml_file_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    broken = written(tmp_path / "broken.toml", f"PORT = 1\nDATABASE_URL = {URL}\n")

    for path in (tmp_path, tmp_path / "absent.toml", broken):
        problem = only_problem({"PLATFORM_CONFIG": str(path)})

        assert (problem.name, problem.origin) == ("PLATFORM_CONFIG", "environment")
        assert path.name in str(problem)
        assert "hunter2" not in str(problem)


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_value_can_stand_in_a_file_of_its_own(tmp_path: Path, end: str) -> None:
    secret = tmp_path / "url"
    secret.write_bytes(f"{URL}{end}".encode())

    loaded = load({"DATABASE_URL_FILE": str(secret)}, None)

    assert loaded.settings.database.url is not None
    assert loaded.settings.database.url.get_secret_value() == URL
    assert loaded.origins["DATABASE_URL"] == f"file {secret} (DATABASE_URL_FILE)"


def test_every_source_may_name_such_a_file(tmp_path: Path, dotenv: Path, toml: Path) -> None:
    port = written(tmp_path / "port", "1\n")
    level = written(tmp_path / "level", "DEBUG\n")
    written(toml, f"LOG_LEVEL_FILE = '{level}'\n")
    written(dotenv, f"PORT_FILE={port}\nPLATFORM_CONFIG={toml}\n")

    settings = load({}, dotenv).settings

    assert (settings.server.port, settings.log.level) == (1, "DEBUG")


def test_a_wrong_value_in_a_file_is_reported_with_the_file(tmp_path: Path) -> None:
    secret = written(tmp_path / "url", "mysql://app:hunter2@db/app\n")

    problem = only_problem({"DATABASE_URL_FILE": str(secret)})

    assert (problem.name, problem.origin) == (
        "DATABASE_URL",
        f"file {secret} (DATABASE_URL_FILE)",
    )
    assert "hunter2" not in str(problem)


def test_a_value_and_its_file_cannot_both_be_set(tmp_path: Path, dotenv: Path) -> None:
    written(dotenv, f"DATABASE_URL={URL}\n")

    problem = only_problem({"DATABASE_URL_FILE": str(tmp_path / "url")}, dotenv)

    assert problem.name == "DATABASE_URL"
    assert problem.found == "DATABASE_URL and DATABASE_URL_FILE"
    assert problem.origin == f"{dotenv} line 1 and environment"


def test_a_file_of_a_value_must_be_readable_and_hold_something(tmp_path: Path) -> None:
    empty = written(tmp_path / "empty", "\n")
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")

    for path in (tmp_path, tmp_path / "absent", empty, binary):
        problem = only_problem({"DATABASE_URL_FILE": str(path)})

        assert (problem.name, problem.origin) == ("DATABASE_URL_FILE", "environment")
        assert str(path) in problem.found


@pytest.mark.parametrize("name", ["DATABASE_URL_FILE", "PLATFORM_CONFIG"])
def test_a_secret_where_a_path_belongs_is_masked(name: str) -> None:
    problem = only_problem({name: URL})

    assert "postgresql://***@db/app" in problem.found
    assert "hunter2" not in str(problem)

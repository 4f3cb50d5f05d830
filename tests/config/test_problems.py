from pathlib import Path

from platform_config import ConfigurationError
from tests.config.reading import refused, written


def test_the_report_reads_like_this(tmp_path: Path) -> None:
    dotenv = written(tmp_path / ".env", "\n\nPORT=99999\n")

    report = str(refused({"APP_ENV": "production", "AUTHENTICATOR": "anonymous"}, dotenv))

    assert report == (
        "The configuration has 2 problems:\n"
        "\n"
        f"PORT (from {dotenv} line 3)\n"
        '  found:    "99999"\n'
        "  expected: a whole number from 0 to 65535\n"
        "  fix:      give PORT such a value, e.g. PORT=8000\n"
        "\n"
        "DATABASE_URL\n"
        "  found:    nothing: it is not set, and production has no default for it\n"
        "  expected: Address of the database. Unset in development: one is started for you.\n"
        "  fix:      set DATABASE_URL or DATABASE_URL_FILE, e.g."
        " DATABASE_URL=postgresql://app:password@localhost:5432/app"
    )


def test_one_problem_is_not_called_problems() -> None:
    assert str(refused({"PORT": "x"})).startswith("The configuration has 1 problem:")


def test_the_report_has_no_words_of_the_machinery() -> None:
    report = str(refused({"PORT": "x", "LOG_LEVEL": "x", "DATABASE_URL": "x", "HOST": "x"}))

    for word in ("pydantic", "Traceback", "validation error", "input", "Value error"):
        assert word not in report


def test_a_refusal_drags_no_cause_along_that_could_quote_a_value() -> None:
    error = refused({"DATABASE_URL": "mysql://app:hunter2@db/app"})

    assert isinstance(error, ConfigurationError)
    assert error.__cause__ is None
    assert error.__context__ is None


def test_a_password_in_a_variable_that_is_no_secret_is_masked() -> None:
    report = str(refused({"HOST": "https://me:hun/ter@2@host", "CORS_ORIGINS": "https://a:b@c"}))

    assert '"https://***@host"' in report
    assert '"https://***@c"' in report
    for part in ("hun", "ter", "a:b"):
        assert part not in report.replace("other machines", "")


def test_control_characters_in_a_value_cannot_break_the_report() -> None:
    assert r'"8000\nPORT"' in str(refused({"PORT": "8000\nPORT"}))

"""The command `platform`."""

from pathlib import Path

from tests.e2e.serve import run


def test_migrate_brings_a_database_up_to_date_once(tmp_path: Path, empty_database_url: str) -> None:
    first = run("platform", "migrate", folder=tmp_path, DATABASE_URL=empty_database_url)
    second = run("platform", "migrate", folder=tmp_path, DATABASE_URL=empty_database_url)

    assert first[0] == second[0] == 0, first[1] + second[1]
    assert "applied" in first[1]
    assert "applied" not in second[1]


def test_migrate_without_a_database_says_what_is_missing(tmp_path: Path) -> None:
    code, output = run("platform", "migrate", folder=tmp_path)

    assert code == 1
    assert "DATABASE_URL" in output
    assert "Traceback" not in output


def test_check_fails_with_the_difference_and_the_remedy(tmp_path: Path) -> None:
    elsewhere, told = run("platform", "check", folder=tmp_path)
    assert elsewhere == 1
    assert "root of the project" in told
    (tmp_path / "packages").mkdir()

    code, output = run("platform", "check", folder=tmp_path)

    assert code == 1
    assert "+#PORT=8000" in output
    assert "platform generate" in output

    assert run("platform", "generate", folder=tmp_path)[0] == 0
    assert run("platform", "check", folder=tmp_path)[0] == 0


def test_show_lists_what_is_there(tmp_path: Path) -> None:
    routes = run("platform", "show", "routes", folder=tmp_path)[1]
    layers = run("platform", "show", "middleware", folder=tmp_path)[1].split()
    errors = run("platform", "show", "errors", folder=tmp_path)[1]
    config = run(
        "platform", "show", "config", folder=tmp_path, DATABASE_URL="postgresql://u:hunter2@h/d"
    )[1]

    assert "PATCH   /api/v1/projects/{id}" in routes
    assert layers.index("RequestLog") < layers.index("Cors") < layers.index("ErrorBoundary")
    assert "409  project_name_taken" in errors
    assert "hunter2" not in config
    assert "environment" in config

from collections.abc import AsyncIterator

import pytest

from platform_api.cli.commands import app
from platform_api.cli.drill import command, database
from platform_api.cli.drill.findings import Row, true
from platform_domain.startup import StartupError


def drilled(monkeypatch: pytest.MonkeyPatch, *found: bool) -> int:
    """Run the command with rows of which these hold; return the exit code."""

    async def rows() -> AsyncIterator[Row]:
        for holds in found:
            yield Row("a fault", [true("it goes on", holds)])

    monkeypatch.setattr(database, "rows", rows)
    monkeypatch.setattr(command, "configure", lambda *_: None)
    with pytest.raises(SystemExit) as ended:
        app(["drill", "database"])
    return int(ended.value.code or 0)


def test_the_drill_says_what_holds_while_it_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert drilled(monkeypatch, True, True) == 0

    output = capsys.readouterr().out
    assert output.count("holds: a fault\n    it goes on\n") == 2
    assert output.endswith("Everything holds.\n")


def test_the_drill_fails_when_something_does_not_hold(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert drilled(monkeypatch, True, False, True) == 1

    output = capsys.readouterr().out
    assert ">>> NOT: it goes on" in output
    assert "Everything holds" not in output


def test_without_the_development_packages_the_drill_says_what_it_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(command, "NEEDED", ("sys", "nowhere_to_be_found"))

    with pytest.raises(StartupError, match=r"needs nowhere_to_be_found: run `uv sync`"):
        app(["drill", "database"])

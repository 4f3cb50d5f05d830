from collections.abc import AsyncIterator

import pytest

from tests.drill import __main__ as drill
from tests.drill import database
from tests.drill.findings import Row, true


def drilled(monkeypatch: pytest.MonkeyPatch, *found: bool) -> int:
    """Run the command with rows of which these hold; return the exit code."""

    async def rows() -> AsyncIterator[Row]:
        for holds in found:
            yield Row("a fault", [true("it goes on", holds)])

    monkeypatch.setattr(database, "rows", rows)
    monkeypatch.setattr(drill, "configure", lambda *_: None)
    return drill.main(["database"])


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

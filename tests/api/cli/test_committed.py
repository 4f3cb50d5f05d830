from pathlib import Path

import pytest

from platform_api.cli.committed import COMMITTED, NotTheRoot, differences, write_all

ROOT = Path(__file__).parents[3]


def test_what_is_committed_follows_from_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)

    assert differences() == []


def test_a_file_that_is_missing_or_changed_is_told_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotTheRoot):
        differences()
    (tmp_path / "packages").mkdir()
    assert len(differences()) == len(COMMITTED)

    assert write_all() == list(COMMITTED)
    assert differences() == []

    changed = tmp_path / ".env.example"
    changed.write_text(changed.read_text().replace("#PORT=8000", "#PORT=8001"))
    (difference,) = differences()
    assert "-#PORT=8001" in difference
    assert "+#PORT=8000" in difference

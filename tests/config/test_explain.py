from pathlib import Path

import pytest

from platform_config import Setting, explain, load
from platform_config.variables import variables
from tests.config.reading import written

URL = "postgresql://app:hunter2@db/app?password=hunter3"


def test_every_setting_is_told_with_its_value_and_origin(tmp_path: Path) -> None:
    dotenv = written(tmp_path / ".env", "CORS_ORIGINS=http://a,http://b\n")

    rows = explain(load({"PORT": "1", "DATABASE_URL": URL}, dotenv))

    assert [row.name for row in rows] == list(variables())
    assert Setting("PORT", "1", "environment") in rows
    assert Setting("CORS_ORIGINS", "http://a,http://b", f"{dotenv} line 1") in rows
    assert Setting("DATABASE_URL", "***", "environment") in rows
    assert Setting("CORS_CREDENTIALS", "false", "default") in rows
    assert Setting("SHUTDOWN_DELAY", "0", "default") in rows


def test_an_unset_secret_is_seen_to_be_unset() -> None:
    assert Setting("DATABASE_URL", "", "default") in explain(load({}, None))


@pytest.mark.parametrize("secret", ["app", "hunter2", "hunter3"])
def test_nothing_that_is_printed_shows_a_secret(secret: str) -> None:
    loaded = load({"DATABASE_URL": URL}, None)

    printed = f"{loaded!r} {loaded.settings} {loaded.settings.model_dump_json()} {explain(loaded)}"

    assert secret not in printed

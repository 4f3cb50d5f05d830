"""Which databases `platform reset` refuses."""

import pytest

from platform_api.cli.schema import ResetRefused, require_development
from platform_config import load

HERE = "postgresql://app@localhost/app"
ELSEWHERE = "postgresql://app:hunter2@db.example.com/app"
PRODUCTION = {"APP_ENV": "production", "AUTHENTICATOR": "anonymous"}


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"DATABASE_URL": HERE},
        {"DATABASE_URL": "postgresql:///app?host=/run/postgresql"},
        {"DATABASE_URL": ELSEWHERE, "APP_ENV": "development"},
    ],
)
def test_a_development_database_may_be_reset(environ: dict[str, str]) -> None:
    require_development(load(environ, None))


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        ({"DATABASE_URL": HERE, **PRODUCTION}, "for development"),
        ({"DATABASE_URL": ELSEWHERE}, "db.example.com.* another machine.* APP_ENV=development"),
        ({"DATABASE_URL": HERE, "DATABASE_DIRECT_URL": ELSEWHERE}, "another machine"),
    ],
)
def test_any_other_is_refused(environ: dict[str, str], reason: str) -> None:
    with pytest.raises(ResetRefused, match=reason) as raised:
        require_development(load(environ, None))

    assert "hunter2" not in str(raised.value)

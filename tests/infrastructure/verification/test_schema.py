import pytest

from platform_domain.startup import StartupError
from platform_infrastructure.postgres.verification.schema import (
    migrated_database,
    require_version,
)


def test_a_postgresql_that_is_too_old_is_refused_with_the_reason() -> None:
    require_version(160_000)
    with pytest.raises(StartupError, match=r"PostgreSQL 15 cannot verify .* outer joins"):
        require_version(150_014)


def test_a_database_of_ones_own_is_used_as_it_is(database_url: str) -> None:
    with migrated_database(database_url) as connection:
        row = connection.execute("SELECT count(*) FROM projects").fetchone()

    assert row == (0,)


def test_a_database_without_the_migrations_is_refused(empty_database_url: str) -> None:
    with (
        pytest.raises(StartupError, match=r"lacks .*projects.*platform migrate"),
        migrated_database(empty_database_url),
    ):
        pass


def test_a_database_that_cannot_be_reached_is_told() -> None:
    with (
        pytest.raises(StartupError, match="The database to verify against"),
        migrated_database("postgresql://postgres@127.0.0.1:1/none"),
    ):
        pass


def test_a_url_with_a_password_that_is_not_encoded_is_not_repeated() -> None:
    with (
        pytest.raises(StartupError, match="percent-encode") as caught,
        migrated_database("postgresql://postgres:hun@ter2@127.0.0.1:1/none"),
    ):
        pass

    assert "ter2" not in f"{caught.value} {caught.value.__cause__}"


def test_without_one_there_is_a_temporary_postgresql_18_with_all_migrations() -> None:
    with migrated_database(None) as connection:
        assert connection.info.server_version // 10_000 == 18
        assert connection.execute("SELECT count(*) FROM projects").fetchone() == (0,)

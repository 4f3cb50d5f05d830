"""For folders whose tests must run where there is no PostgreSQL: the guard, and its test."""

import pytest


@pytest.fixture(scope="session")
def database_server() -> str:
    """Replaces the fixture that all databases of tests come from."""
    pytest.fail(
        "Tests below tests/domain and tests/api run without PostgreSQL."
        " Move this one to tests/infrastructure or tests/e2e."
    )


@pytest.mark.parametrize(
    "fixture", ["database_server", "database_url", "empty_database_url", "fresh_database_url"]
)
def test_a_test_of_this_folder_gets_no_database(
    request: pytest.FixtureRequest, fixture: str
) -> None:
    with pytest.raises(pytest.fail.Exception, match="run without PostgreSQL"):
        request.getfixturevalue(fixture)

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from platform_queries.verify import source as sources
from platform_queries.verify.verifier import Verifier, verified
from tests.queries.written import written_queries


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Paths in messages are as seen from the working directory; a class is found by its module."""
    monkeypatch.chdir(tmp_path)
    yield
    sources.parsed.cache_clear()
    sys.modules.pop("written", None)


def problems(verifier: Verifier, folder: Path, text: str) -> list[str]:
    queries = written_queries(folder, text)
    return verified(verifier.connection, queries, {}).problems


def test_an_error_names_the_line_of_the_sql_that_is_wrong(
    verifier: Verifier, tmp_path: Path
) -> None:
    text = '''
        class Misspelt(Many[int]):
            sql = """
                SELECT id
                FROM users
                WHERE nam = %(name)s
            """
            name: str
    '''

    assert problems(verifier, tmp_path, text) == [
        'written.py:7: Misspelt: column "nam" does not exist'
    ]


def test_placeholders_do_not_shift_the_line(verifier: Verifier, tmp_path: Path) -> None:
    text = '''
        class Later(Many[int]):
            sql = """SELECT id FROM users WHERE id = %(a_rather_long_name)s AND email LIKE 'a%%'
                AND id <> %(another_rather_long_name)s
                AND emial = 'x'"""
            a_rather_long_name: int
            another_rather_long_name: int
    '''

    (problem,) = problems(verifier, tmp_path, text)

    assert problem.startswith("written.py:6: Later: ")


def test_an_error_of_no_place_names_the_line_where_the_class_begins(
    verifier: Verifier, tmp_path: Path
) -> None:
    text = """
        class Outer:
            class Inner(Many[str]):
                sql = "SELECT id FROM users"
    """

    (problem,) = problems(verifier, tmp_path, text)

    assert problem.startswith("written.py:4: Outer.Inner: column id (integer)")


@pytest.mark.parametrize(
    "sql",
    ["f'SELECT {1}'", "'SELECT ' + '1'", "STATEMENT", "'SELECT {}'.format(1)", "str('SELECT 1')"],
)
def test_sql_is_one_literal_string(verifier: Verifier, tmp_path: Path, sql: str) -> None:
    text = f"""
        STATEMENT = "SELECT 1"

        class Assembled(One[int]):
            sql = {sql}
    """

    (problem,) = problems(verifier, tmp_path, text)

    assert problem.startswith("written.py:5: Assembled: `sql` must be one literal string")


def test_a_query_that_inherits_its_sql_has_no_literal_of_its_own(
    verifier: Verifier, tmp_path: Path
) -> None:
    text = """
        class Numbers(One[int]):
            sql = "SELECT 1"

        class More(Numbers):
            pass
    """

    (problem,) = problems(verifier, tmp_path, text)

    assert problem.startswith("written.py:6: More: `sql` must be")


def test_adjacent_literals_are_one(verifier: Verifier, tmp_path: Path) -> None:
    text = """
        class Two(One[int]):
            sql = (
                "SELECT count(*)"
                " FROM users"
            )
    """

    assert problems(verifier, tmp_path, text) == []


def test_of_two_definitions_python_takes_the_last(verifier: Verifier, tmp_path: Path) -> None:
    text = """
        class Twice(One[int]):
            sql = "SELECT 1"

        class Twice(One[str]):
            sql = "SELECT 1"
    """

    (problem,) = problems(verifier, tmp_path, text)

    assert problem.startswith("written.py:6: Twice: ")


def test_a_query_in_no_file_cannot_be_verified(verifier: Verifier) -> None:
    made = type(sys)("made")
    exec(
        "from platform_queries import QUERIES, One\n"
        "class Made(One[int]): sql = 'SELECT 1'\n"
        "del QUERIES['made.Made']",
        vars(made),
    )

    (problem,) = verified(verifier.connection, {"made.Made": made.Made}, {}).problems

    assert problem.startswith("made: Made: `sql` must be one literal string")

from tests.drill.findings import Row, as_text, none, true, within
from tests.drill.traffic import Answer, answered, failures


def test_a_row_holds_when_all_that_was_found_does() -> None:
    row = Row(
        "refused", [within("slowest answer", 1.5, 2), none("lost", 0, of=7), true("live", True)]
    )

    assert row.holds
    assert as_text(row).splitlines() == [
        "holds: refused",
        "    slowest answer 1.50 s (at most 2)",
        "    0 of 7 lost",
        "    live",
    ]


def test_what_does_not_hold_stands_out() -> None:
    row = Row("refused", [within("slowest answer", 2.5, 2), none("lost", 0), true("live", False)])

    assert not row.holds
    assert as_text(row).splitlines() == [
        "FAILS: refused",
        ">>> slowest answer 2.50 s (at most 2)",
        "    0 lost",
        ">>> NOT: live",
    ]


def answer(status: int, code: str = "") -> Answer:
    return Answer("GET", "/", status, None, f'{{"code":"{code}"}}'.encode(), 0.0, 0.0)


def test_failures_are_told_by_their_codes_whether_they_are_wrong_or_not() -> None:
    lost = answer(500, "internal_error")
    answers = [answer(200), answer(503, "unavailable"), answer(503, "unavailable"), lost]

    finding = answered(answers, [lost], "were bugs")

    assert not finding.holds
    assert finding.text == "1 of 4 answers were bugs (2 unavailable, 1 internal_error)"


def test_who_is_turned_away_by_a_busy_machine_is_no_failure_of_the_database() -> None:
    lost = answer(503, "unavailable")

    assert failures([answer(200), answer(503, "overloaded"), lost]) == [lost]

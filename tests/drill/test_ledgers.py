from tests.drill.traffic import Ledger, differences


def test_what_was_acknowledged_and_is_there_is_right() -> None:
    ledger = Ledger(created={"a", "b"}, project="a", renamed=3)

    assert differences([ledger], {"a": 4, "b": 1}) == (0, 0)


def test_what_was_acknowledged_and_is_not_there_is_lost() -> None:
    ledger = Ledger(created={"a", "b"}, project="a", renamed=3)

    assert differences([ledger], {"a": 3}) == (2, 0)


def test_what_nobody_was_told_of_is_too_many() -> None:
    ledger = Ledger(created={"a"}, project="a", renamed=3)

    assert differences([ledger], {"a": 5, "b": 1}) == (0, 2)


def test_what_has_an_unknown_outcome_may_be_there_or_not() -> None:
    ledger = Ledger(created={"a"}, created_perhaps=1, project="a", renamed=3, renamed_perhaps=1)

    assert differences([ledger], {"a": 5, "b": 1}) == (0, 0)
    assert differences([ledger], {"a": 4}) == (0, 0)

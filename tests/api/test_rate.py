from platform_api.rate import Rate


def test_a_burst_is_allowed_and_then_the_average() -> None:
    now = 0.0
    rate = Rate(2, lambda: now)

    assert [rate.allows() for _ in range(5)] == [True] * 4 + [False]
    now = 0.5
    assert [rate.allows() for _ in range(2)] == [True, False]
    now = 100
    assert [rate.allows() for _ in range(5)] == [True] * 4 + [False]


def test_a_burst_may_be_larger_and_something_may_cost_more() -> None:
    now = 0.0
    rate = Rate(2, lambda: now, burst=10)

    assert [rate.allows(4) for _ in range(3)] == [True, True, False]
    assert rate.allows(2), "what was refused has cost nothing"
    now = 1.0
    assert [rate.allows(2), rate.allows(2)] == [True, False]

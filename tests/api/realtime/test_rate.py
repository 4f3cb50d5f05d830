from platform_api.realtime.rate import Rate


def test_a_burst_is_allowed_and_then_the_average() -> None:
    now = 0.0
    rate = Rate(2, lambda: now)

    assert [rate.allows() for _ in range(5)] == [True] * 4 + [False]
    now = 0.5
    assert [rate.allows() for _ in range(2)] == [True, False]
    now = 100
    assert [rate.allows() for _ in range(5)] == [True] * 4 + [False]

from platform_api.server.workers.back_off import WELL_SECONDS, BackOff


def test_the_first_end_is_forgiven_and_the_next_ones_wait_longer_and_longer() -> None:
    back_off = BackOff()

    pauses = [back_off.pause(lived=1) for _ in range(10)]

    assert pauses == [0, 0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_a_minute_of_good_health_begins_anew() -> None:
    back_off = BackOff()
    for _ in range(5):
        back_off.pause(lived=1)

    assert back_off.pause(lived=WELL_SECONDS) == 0
    assert back_off.pause(lived=1) == 0.5

from contextlib import ExitStack

import pytest

from platform_api.capacity import ALWAYS_ADMITTED, YOUNG_WINDOWS, Capacity

pytestmark = pytest.mark.anyio


def room(capacity: Capacity) -> int:
    """Return how many more requests are let in."""
    with ExitStack() as places:
        for number in range(10_000):
            if not capacity.has_room():
                return number
            places.enter_context(capacity.taken())
    raise AssertionError("There is no end.")


async def test_there_is_room_until_every_place_is_taken() -> None:
    capacity = Capacity(2)
    with capacity.taken():
        assert capacity.has_room()
        with capacity.taken():
            assert not capacity.has_room()
        assert capacity.has_room()


async def test_a_saturated_loop_lets_fewer_in_than_it_has() -> None:
    capacity = Capacity(200)
    with ExitStack() as places:
        for _ in range(100):
            places.enter_context(capacity.taken())
        capacity.adapt(is_saturated=True)

    assert room(capacity) == 70


async def test_a_few_are_let_in_however_much_there_is_to_do() -> None:
    capacity = Capacity(200)
    for _ in range(100):
        capacity.adapt(is_saturated=True)

    assert room(capacity) == ALWAYS_ADMITTED, "refusing must not become all it does"


async def test_a_saturated_loop_admits_no_more_than_was_configured() -> None:
    capacity = Capacity(1)
    capacity.adapt(is_saturated=True)

    assert room(capacity) == 1


async def test_a_loop_that_rests_lets_everybody_in() -> None:
    capacity = Capacity(200)
    capacity.adapt(is_saturated=True)
    capacity.adapt(is_saturated=False)

    assert room(capacity) == 200


async def test_who_only_waits_keeps_nobody_out() -> None:
    capacity = Capacity(200)
    with ExitStack() as places:
        for _ in range(100):
            places.enter_context(capacity.taken())
        for _ in range(YOUNG_WINDOWS * 2):
            capacity.adapt(is_saturated=True)

        assert room(capacity) == ALWAYS_ADMITTED


async def test_what_is_read_is_counted_before_it_takes_its_place() -> None:
    capacity = Capacity(3)

    assert [capacity.will_have_room() for _ in range(5)] == [True, True, True, False, False]
    assert capacity.has_room()
    with capacity.taken():
        assert not capacity.will_have_room()
    assert capacity.will_have_room()


async def test_what_never_comes_is_forgotten() -> None:
    capacity = Capacity(1)
    capacity.will_have_room()
    assert not capacity.will_have_room()
    capacity.adapt(is_saturated=False)

    assert capacity.will_have_room()

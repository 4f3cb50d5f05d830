import pytest

from platform_domain.errors import Unavailable
from platform_infrastructure.postgres.breaker import Breaker


def test_an_open_breaker_lets_nothing_through_until_it_is_closed() -> None:
    breaker = Breaker()
    breaker.require_closed()

    breaker.open()
    with pytest.raises(Unavailable):
        breaker.require_closed()
    breaker.close()

    breaker.require_closed()


def test_a_change_is_announced_once_however_often_it_is_repeated() -> None:
    breaker, seen = Breaker(), list[str]()
    breaker.on_open(lambda: seen.append("open"))
    breaker.on_close(lambda: seen.append("close"))

    breaker.close()
    for _ in range(3):
        breaker.open()
    for _ in range(3):
        breaker.close()

    assert seen == ["open", "close"]

"""A client that comes back when the server is too busy, which a busy test machine makes it."""

import time
from collections.abc import Callable

import httpx2

PATIENCE_SECONDS = 20.0
PAUSE_SECONDS = 0.1


def patiently(ask: Callable[[], httpx2.Response]) -> httpx2.Response:
    """Ask again as long as the answer is 503 `overloaded`, for a bounded time."""
    until = time.monotonic() + PATIENCE_SECONDS
    while _is_overloaded(answer := ask()) and time.monotonic() < until:
        time.sleep(PAUSE_SECONDS)
    return answer


def _is_overloaded(answer: httpx2.Response) -> bool:
    return answer.status_code == 503 and answer.json()["code"] == "overloaded"

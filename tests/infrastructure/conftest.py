import asyncio

import pytest


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds of each `asyncio.sleep`, none of which takes any time."""
    taken: list[float] = []
    sleep = asyncio.sleep

    async def recorded(seconds: float) -> None:
        taken.append(seconds)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", recorded)
    return taken

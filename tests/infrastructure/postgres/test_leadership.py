import pytest
from loguru import logger

from platform_infrastructure.postgres import leadership
from platform_infrastructure.postgres.leadership import AdvisoryLeadership
from tests.infrastructure.postgres.connections import settings_for

pytestmark = pytest.mark.anyio

NOWHERE = "postgresql://postgres@127.0.0.1:1/none"


async def test_a_lock_that_cannot_be_asked_for_is_one_warning_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(leadership, "RETRY_SECONDS", 0.0)
    lines: list[str] = []
    sink = logger.add(lambda line: lines.append(str(line)), format="{message} {extra}")

    async def work() -> None:
        raise AssertionError("nothing may run without the lock")

    try:
        leader = AdvisoryLeadership(settings_for(NOWHERE))
        assert not await leader.run(work)
        assert not await leader.run(work)
    finally:
        logger.remove(sink)

    (line,) = lines
    assert "lock cannot be asked for" in line
    assert "problem" in line

"""Each row of the drill of the database, on the real server."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.drill.database import OTHERS
from tests.drill.deploys import told
from tests.drill.findings import Row, as_text
from tests.drill.outages import OUTAGES, Outage
from tests.drill.stage import Server, Stage, staged

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.fixture(scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with staged(tmp_path_factory.mktemp("drill")) as stage:
        yield stage


@pytest.fixture(scope="module")
async def server(stage: Stage) -> AsyncIterator[Server]:
    async with stage.serving() as server:
        yield server


def assert_holds(row: Row) -> None:
    assert row.holds, as_text(row)


@pytest.mark.parametrize("outage", OUTAGES, ids=lambda outage: outage.__name__)
async def test_the_service_outlives_an_outage(stage: Stage, server: Server, outage: Outage) -> None:
    assert_holds(await outage(stage, server))
    assert_holds(told(stage))


@pytest.mark.parametrize("other", OTHERS, ids=lambda other: other.__name__)
async def test_the_service_keeps_its_word(
    stage: Stage, other: Callable[[Stage], Awaitable[Row]]
) -> None:
    assert_holds(await other(stage))
    assert_holds(told(stage))

"""The drill of the database: every fault in turn, and the table of what was found."""

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from tests.drill.deploys import incremented, rolled, stopped, told
from tests.drill.findings import Row
from tests.drill.outages import OUTAGES
from tests.drill.stage import Stage, staged

OTHERS = (stopped, incremented, rolled)
FAULTS = len(OUTAGES) + len(OTHERS) + 1
"""How many rows there are; the last tells of the others."""


async def rows() -> AsyncIterator[Row]:
    """Yield each row as soon as its fault is over. Raises `StartupError`."""
    with tempfile.TemporaryDirectory(prefix="platform-drill-") as name:
        async with staged(Path(name)) as stage:
            async for row in _rows(stage):
                yield row


async def _rows(stage: Stage) -> AsyncIterator[Row]:
    async with stage.serving() as server:
        for outage in OUTAGES:
            yield await outage(stage, server)
    for other in OTHERS:
        yield await other(stage)
    yield told(stage)

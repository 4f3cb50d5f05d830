"""A deploy: the schema first, then one worker after the other, under traffic."""

import asyncio
import re
import shutil
import signal
from pathlib import Path

import platform_infrastructure
from platform_api.cli.drill.findings import Row, answered, true
from platform_api.cli.drill.server import Server
from platform_api.cli.drill.stage import Stage
from platform_api.cli.drill.traffic import Traffic, failures
from platform_infrastructure.postgres.migrations import migrate

EXPAND = """-- migrate:up
ALTER TABLE projects ADD COLUMN drill_note text NOT NULL DEFAULT '';

-- migrate:down
ALTER TABLE projects DROP COLUMN drill_note;
"""
WORKERS = 2
NAME = "99990101000000_add_drill_note.sql"


async def rolled(stage: Stage) -> Row:
    """Old code is replaced by old code on the schema of the new, and then by the new code."""
    release, after = stage.folder / "release", stage.folder / "next"
    package = release / "platform_infrastructure"
    _copy(package)
    after.mkdir()
    (after / NAME).write_text(EXPAND)
    async with (
        stage.serving(workers=WORKERS, settings={"PYTHONPATH": str(release)}) as server,
        Traffic(server.port, "rolled") as traffic,
    ):
        await migrate(stage.postgres.url, after)
        await _replaced(server, times=1)
        shutil.copy(after / NAME, package / "migrations")
        await _replaced(server, times=2)
        await asyncio.sleep(0.5)
        ahead = server.log().count("schema is ahead of this code")
    stage.answers.extend(traffic.answers)
    return Row(
        "rolling restart on a schema one step ahead, then to new code",
        [
            answered(traffic.answers, failures(traffic.answers), "failed"),
            true(f"{ahead} of the {2 * WORKERS} new workers had the old code", ahead == WORKERS),
        ],
    )


def _copy(package: Path) -> None:
    """A release is a folder that the workers import before what is installed."""
    source = Path(platform_infrastructure.__path__[0])
    shutil.copytree(source, package, ignore=shutil.ignore_patterns("__pycache__"))


async def _replaced(server: Server, *, times: int) -> None:
    server.tell(signal.SIGHUP)
    done = re.compile(rf"(?s)(?:All workers are new.*){{{times}}}")
    await asyncio.to_thread(server.wait_for, done)

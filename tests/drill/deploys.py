"""Deploys, stops and contended writes under traffic, and a search for leaked secrets."""

import asyncio
import re
import shutil
import signal
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import platform_infrastructure
from platform_config import ShutdownSettings
from platform_domain.identity import UserId
from platform_infrastructure.postgres.breaker import Breaker
from platform_infrastructure.postgres.connections import Connections
from platform_infrastructure.postgres.database import Database, PostgresUnitOfWork
from platform_infrastructure.postgres.migrations import migrate
from platform_infrastructure.postgres.pool import Pool
from platform_infrastructure.projects import PostgresProjects
from tests.drill.findings import Row, none, true, within
from tests.drill.stage import Server, Stage, logs
from tests.drill.traffic import Traffic, answered, failures

SHUTDOWN = ShutdownSettings(requests_timeout=1, sockets_timeout=0.5, stop_timeout=1)
SETTINGS = {
    "SHUTDOWN_REQUESTS_TIMEOUT": str(SHUTDOWN.requests_timeout),
    "SHUTDOWN_SOCKETS_TIMEOUT": str(SHUTDOWN.sockets_timeout),
    "SHUTDOWN_STOP_TIMEOUT": str(SHUTDOWN.stop_timeout),
}
MARGIN_SECONDS = 1.0


async def stopped(stage: Stage) -> Row:
    """The signal comes while requests hang and before the breaker opens."""
    async with (
        stage.serving(settings=SETTINGS) as server,
        Traffic(server.port, "stopped") as traffic,
    ):
        await asyncio.sleep(1)
        await stage.halt()
        try:
            await asyncio.sleep(0.2)
            began = time.monotonic()
            server.tell(signal.SIGTERM)
            code = await asyncio.to_thread(server.end)
            seconds = time.monotonic() - began
        finally:
            await stage.go_on()
    stage.answers.extend(answer for answer in traffic.answers if answer.status)
    return Row(
        f"stop while PostgreSQL hangs (grace {SHUTDOWN.grace:g} s)",
        [
            within("exit after", seconds, SHUTDOWN.grace + MARGIN_SECONDS),
            true(f"exit code 0 (it is {code})", code == 0),
        ],
    )


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


CLIENTS = 4
EACH = 20
OWNER = UserId("drill")


async def incremented(stage: Stage) -> Row:
    """The number is a project's name: reading it and writing the next loses some, unless units of
    work are serializable and repeated."""
    breaker = Breaker()
    pool = Pool(stage.direct, breaker)
    connections = Connections(stage.direct, pool, breaker)
    projects, unit_of_work = (
        PostgresProjects(Database(connections)),
        PostgresUnitOfWork(connections),
    )
    async with pool:
        counter = await projects.create("0", owner=OWNER)

        async def increment() -> None:
            number = int((await projects.get(counter.id, owner=OWNER)).name)
            await projects.rename(counter.id, str(number + 1), owner=OWNER)

        async def client() -> None:
            for _ in range(EACH):
                await unit_of_work.run(increment, serializable=True)

        await asyncio.gather(*(client() for _ in range(CLIENTS)))
        landed = int((await projects.get(counter.id, owner=OWNER)).name)
    asked = CLIENTS * EACH
    return Row(
        f"{asked} SERIALIZABLE increments from {CLIENTS} clients",
        [true(f"{landed} of {asked} landed", landed == asked)],
    )


SECRETS = ("Traceback", '"trace"', "SELECT ", "INSERT INTO", "UPDATE ", "projects_owner_name_key")


def told(stage: Stage) -> Row:
    """Look for a bug's traces in every answer and in every line of the log."""
    statuses = Counter(answer.status for answer in stage.answers)
    bodies = {answer.body.decode(errors="replace") for answer in stage.answers if not answer.good}
    lines = [line for path in logs(stage.folder) for line in path.read_text().splitlines()]
    secrets = (*SECRETS, stage.password)
    return Row(
        "what was told during all of it",
        [
            none("answers 500", statuses[500], of=statuses.total()),
            none("different failures with a secret", _with(secrets, list(bodies)), of=len(bodies)),
            none("log lines with a secret", _with(secrets, lines), of=len(lines)),
        ],
    )


def _with(secrets: Sequence[str], texts: Sequence[str]) -> int:
    return sum(any(secret in text for secret in secrets) for text in texts)

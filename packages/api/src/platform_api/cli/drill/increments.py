"""Clients that all change one row, each on top of what it read."""

import asyncio

from platform_api.cli.drill.findings import Row, true
from platform_api.cli.drill.stage import Stage
from platform_domain.identity import UserId
from platform_infrastructure.postgres.breaker import Breaker
from platform_infrastructure.postgres.connections import Connections
from platform_infrastructure.postgres.database import Database, PostgresUnitOfWork
from platform_infrastructure.postgres.pool import Pool
from platform_infrastructure.projects import PostgresProjects

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

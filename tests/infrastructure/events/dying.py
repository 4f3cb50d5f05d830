"""A program that commits a unit of work with an event in it, and kills itself: right after the
commit, or when it has brought the event to Valkey and has not taken note of that."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from uuid import UUID

from platform_domain.events import TopicName
from platform_infrastructure.events.engine import EventEngine
from platform_infrastructure.events.postgres import PostgresEventBus
from platform_infrastructure.events.valkey.bus import ValkeyEventBus
from platform_infrastructure.events.valkey.client import ValkeyClient
from platform_infrastructure.events.valkey.log import ValkeyLog
from platform_infrastructure.events.valkey.outbox import OutboxTable, Relay, WaitingEvent
from platform_infrastructure.postgres.database import Database, PostgresUnitOfWork
from platform_infrastructure.postgres.transaction import after_commit
from platform_infrastructure.projects import CreateProject
from tests.infrastructure.postgres.connections import opened, settings_for


class DyingOutbox(OutboxTable):
    async def remove(self, events: Sequence[WaitingEvent]) -> None:
        die()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def commit_and_die(
    database_url: str, valkey_url: str | None, project: str, *, relaying: bool
) -> None:
    async with opened(database_url) as connections:
        database = Database(connections)
        bus: EventEngine
        if valkey_url is None:
            bus = PostgresEventBus(settings_for(database_url), database)
        else:
            bus = ValkeyEventBus(valkey_url, database)

        async def work() -> None:
            if not relaying:
                after_commit(die)
            await database.run(CreateProject(id=UUID(project), owner="alice", name="a"))
            await bus.publish(TopicName("news"), b"told by the dead")

        await PostgresUnitOfWork(connections).run(work)
        assert valkey_url is not None
        log = ValkeyLog(ValkeyClient(valkey_url))
        await Relay(DyingOutbox(database), log).run(asyncio.Event())


if __name__ == "__main__":
    asyncio.run(commit_and_die(**json.loads(sys.argv[1])))

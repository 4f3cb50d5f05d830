"""What a drill plays on: a PostgreSQL of its own, a faulty network, and the server behind it."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from platform_api.cli.drill.fault_proxy import FaultProxy
from platform_api.cli.drill.server import Server, serving
from platform_api.cli.drill.traffic import Answer
from platform_config import DatabaseSettings
from platform_domain.startup import StartupError
from platform_infrastructure.postgres.connect import connect
from platform_infrastructure.postgres.embedded import EmbeddedPostgres
from platform_infrastructure.postgres.start import migrated

TERMINATE_ALL = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""


@dataclass(frozen=True, slots=True)
class Stage:
    folder: Path
    postgres: EmbeddedPostgres
    proxy: FaultProxy
    answers: list[Answer] = field(default_factory=list)
    """Everything that clients were answered so far."""

    @property
    def direct(self) -> DatabaseSettings:
        """How the database is reached past the faults."""
        return DatabaseSettings(url=SecretStr(self.postgres.url))

    @property
    def password(self) -> str:
        return urlsplit(self.postgres.url).password or ""

    @asynccontextmanager
    async def serving(
        self, *, workers: int = 1, settings: Mapping[str, str] | None = None
    ) -> AsyncIterator[Server]:
        """Run `serve` behind the faulty network."""
        url = self.postgres.url.replace(f":{self.postgres.port}/", f":{self.proxy.port}/")
        given = {"DATABASE_URL": url} | dict(settings or {})
        running = serving(self.folder, given, workers=workers)
        # In a thread, since the network that the server starts over is this event loop.
        server = await asyncio.to_thread(running.__enter__)
        try:
            yield server
        finally:
            await self.proxy.restore()
            await asyncio.to_thread(running.__exit__, None, None, None)

    async def terminate(self) -> None:
        await self.administer(TERMINATE_ALL)

    async def administer(self, statement: str) -> None:
        async with await connect(self.direct) as connection:
            await connection.execute(statement.encode())

    async def halt(self) -> None:
        """Stop every process of PostgreSQL where it is."""
        self._signal_all(signal.SIGSTOP)

    async def go_on(self) -> None:
        self._signal_all(signal.SIGCONT)

    async def kill(self) -> None:
        os.kill(self.postgres.pid, signal.SIGKILL)

    async def start_again(self) -> None:
        await asyncio.to_thread(self.postgres.stop)
        await asyncio.to_thread(self.postgres.start)
        self.proxy.target = self.postgres.port

    def _signal_all(self, number: signal.Signals) -> None:
        postmaster = self.postgres.pid
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        for pid in (postmaster, *map(int, children)):
            os.kill(pid, number)


@asynccontextmanager
async def staged(folder: Path) -> AsyncIterator[Stage]:
    """Start a durable PostgreSQL in `folder` with every migration, and a network before it.

    Raises `StartupError` where that cannot be done.
    """
    if sys.platform != "linux":
        raise StartupError("The drill halts processes by what /proc tells: it runs on Linux only.")
    postgres = EmbeddedPostgres(folder / "postgres")
    await asyncio.to_thread(postgres.start)
    try:
        async with FaultProxy(postgres.port) as proxy:
            stage = Stage(folder, postgres, proxy)
            await migrated(stage.direct)
            yield stage
    finally:
        await asyncio.to_thread(postgres.stop)

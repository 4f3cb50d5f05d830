"""The stage of a drill: a PostgreSQL, a faulty network, and the real server behind it."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from platform_api.serve import PROGRAM
from platform_config import DatabaseSettings
from platform_domain.startup import StartupError
from platform_infrastructure.postgres.connect import connect
from platform_infrastructure.postgres.embedded import EmbeddedPostgres
from platform_infrastructure.postgres.start import migrated
from tests.drill.traffic import Answer
from tests.e2e.serve import environment
from tests.support.fault_proxy import FaultProxy

START_SECONDS = 30.0
END_SECONDS = 40.0
LISTENING = re.compile(r"Listening on http://127\.0\.0\.1:(\d+)")
ALL_LISTENING = re.compile(r"workers serve http://127\.0\.0\.1:(\d+)")
PRODUCTION = {
    "APP_ENV": "production",
    "AUTHENTICATOR": "anonymous",
}


class ServerFailed(StartupError):
    """The server did not do what the drill needs. The text ends with its log."""


class Server:
    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.port = 0
        self._process = process
        self._log = log

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def wait_for(self, pattern: re.Pattern[str]) -> re.Match[str]:
        """Wait for a line of the log. Raises `ServerFailed`."""
        give_up = time.monotonic() + START_SECONDS
        while time.monotonic() < give_up and self._process.poll() is None:
            if found := pattern.search(self.log()):
                return found
            time.sleep(0.02)
        raise ServerFailed(f"serve never said {pattern.pattern!r}:\n{self.log()}")

    def tell(self, signal: signal.Signals) -> None:
        self._process.send_signal(signal)

    def end(self) -> int:
        """Wait for the end and return the exit code. Raises `ServerFailed`."""
        try:
            return self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            raise ServerFailed(f"serve does not end:\n{self.log()}") from None


def logs(folder: Path) -> list[Path]:
    """Return the logs of all servers that ran in `folder`."""
    return sorted(folder.glob("serve-*.log"))


@contextmanager
def serving(folder: Path, settings: Mapping[str, str], *, workers: int) -> Iterator[Server]:
    """Run `serve` in `folder` until it listens; afterwards it is gone, whatever happened."""
    path = folder / f"serve-{len(logs(folder))}.log"
    with path.open("wb") as log:
        process = subprocess.Popen(
            [*PROGRAM, "--workers", str(workers)],
            cwd=folder,
            env=environment(PRODUCTION | dict(settings)),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    server = Server(process, path)
    try:
        server.port = int(server.wait_for(LISTENING if workers == 1 else ALL_LISTENING)[1])
        yield server
    finally:
        process.terminate()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


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

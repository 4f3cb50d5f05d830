"""Sockets on two workers hear the same events, each once and in order, whatever fails."""

import asyncio
import os
import signal
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from platform_infrastructure.postgres.embedded import EmbeddedPostgres
from tests.e2e.workers.pages import Page, staying
from tests.e2e.workers.processes import pids, serving
from tests.e2e.workers.publishing import Publisher, publishing
from tests.infrastructure.events.test_reconnecting import LISTENING
from tests.infrastructure.events.valkeys import TestValkey, free_port, started_valkey
from tests.infrastructure.postgres.connections import ask
from tests.processes import Program

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="Not supported there."),
]

SOCKETS = int(os.environ.get("CROWD_SOCKETS", "500"))
ROUNDS = int(os.environ.get("CROWD_ROUNDS", "1"))
"""How often each fault comes; more of both are for a run by hand."""
EXPECTED_CLOSES = {1006, 1012}
TERMINATE = f"SELECT count(pg_terminate_backend(pid)) FROM ({LISTENING}) AS listening"
Fault = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Site:
    """Two workers, and what events go through."""

    program: Program
    postgres: EmbeddedPostgres
    valkey: TestValkey | None

    def faults(self) -> list[Fault]:
        """Both workers have sockets at the beginning, and after the last one again."""
        return [
            self.cut_of_the_bus,
            self.restart_of_postgres,
            self.kill_of_postgres,
            self.kill_of_worker_0,
            self.kill_of_worker_1,
            self.rolling_reload,
        ]

    async def cut_of_the_bus(self) -> None:
        if self.valkey:
            assert self.valkey.ask("CLIENT", "KILL", "TYPE", "pubsub") == 2
        else:
            assert ask(self.postgres.url, TERMINATE) == [(2,)]

    async def restart_of_postgres(self) -> None:
        await asyncio.to_thread(self.postgres.stop)
        await asyncio.to_thread(self.postgres.start)

    async def kill_of_postgres(self) -> None:
        os.kill(self.postgres.pid, signal.SIGKILL)
        await self.restart_of_postgres()

    async def kill_of_worker_0(self) -> None:
        await self._kill(0)

    async def kill_of_worker_1(self) -> None:
        await self._kill(1)

    async def _kill(self, worker: int) -> None:
        os.kill(pids(self.program)[worker], signal.SIGKILL)
        await asyncio.to_thread(self.program.wait_for, rf"Worker {worker} is process")

    async def rolling_reload(self) -> None:
        self.program.signal(signal.SIGHUP)
        await asyncio.to_thread(self.program.wait_for, "All workers are new")


@contextmanager
def on_engine(engine: str, folder: Path) -> Iterator[Site]:
    """`auto` comes to the engine by what there is."""
    with ExitStack() as leaving:
        # Clients by the hundred must not be given its port while it is down.
        postgres = EmbeddedPostgres(folder / "postgres", port=free_port())
        leaving.enter_context(postgres)
        settings = {"DATABASE_URL": postgres.url, "SOCKETS_MAX_PER_USER": str(SOCKETS)}
        valkey = leaving.enter_context(started_valkey()) if engine == "valkey" else None
        if valkey:
            settings["VALKEY_URL"] = valkey.url
        program = leaving.enter_context(serving(folder, **settings))
        yield Site(program, postgres, valkey)


@asynccontextmanager
async def crowded(site: Site) -> AsyncIterator[tuple[Sequence[Page], Publisher]]:
    """Pages that have heard the first of what is published, and when they go the last."""
    async with staying(site.program.port, SOCKETS) as pages:
        async with publishing(site.program.port) as publisher:
            await asyncio.gather(*(page.hears(1) for page in pages))
            yield pages, publisher
        await asyncio.gather(*(page.hears(publisher.begun) for page in pages))


async def healed(fault: Fault, pages: Sequence[Page], publisher: Publisher) -> None:
    """Return when all pages have heard of something that was begun after the fault."""
    for page in pages:
        page.watch()
    began = time.monotonic()
    await fault()
    lasted = time.monotonic() - began
    after = publisher.begun + 1
    await asyncio.gather(*(page.hears(after) for page in pages))
    healing = time.monotonic() - began - lasted
    silences = [page.longest_silence for page in pages]
    print(  # noqa: T201 - figures for who runs it
        f"{fault.__name__}: lasted {lasted:.1f} s, all heard {healing:.1f} s later,"
        f" silence {statistics.median(silences):.1f} s, {max(silences):.1f} s at most"
    )


@pytest.mark.parametrize("engine", ["postgres", "valkey"])
async def test_every_socket_hears_every_event_once_and_in_order_through_every_fault(
    engine: str, tmp_path: Path
) -> None:
    with on_engine(engine, tmp_path) as site:
        async with crowded(site) as (pages, publisher):
            for fault in site.faults() * ROUNDS:
                await healed(fault, pages, publisher)
        site.program.signal()

        assert site.program.exit_code() == 0
        assert "Traceback" not in site.program.output
    for page in pages:
        assert page.resets == []
        assert_nothing_is_missing_in_silence(page, publisher.begun)
    assert set().union(*(page.closed for page in pages)) == EXPECTED_CLOSES


async def test_a_valkey_that_lost_its_memory_is_told_to_everybody_and_nothing_else_is_missing(
    tmp_path: Path,
) -> None:
    with on_engine("valkey", tmp_path) as site:
        async with crowded(site) as (pages, publisher):
            valkey = site.valkey
            assert valkey is not None

            async def loss_of_valkey() -> None:
                await asyncio.to_thread(valkey.kill)
                await publisher.reaches(publisher.begun + 5)  # They wait in the outbox.
                await asyncio.to_thread(valkey.start)

            for _ in range(ROUNDS):
                await healed(loss_of_valkey, pages, publisher)
        assert "Traceback" not in site.program.output
    for page in pages:
        assert len(page.resets) == ROUNDS
        assert_nothing_is_missing_in_silence(page, publisher.begun)


def assert_nothing_is_missing_in_silence(page: Page, last: int) -> None:
    """Between two losses that it was told of, a page heard each number once and in order."""
    assert (page.heard[0], page.heard[-1]) == (1, last)
    for began, ended in pairwise([0, *page.resets, len(page.heard)]):
        heard = page.heard[began:ended]
        assert all(after == before + 1 for before, after in pairwise(heard))

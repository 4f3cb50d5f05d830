"""One process of a deployment, with periodic work: `python -m tests.e2e.workers.periodic '{…}'`.

All processes append to one file: a line when a run begins and one when it ends, each with the
process and the time of a clock that they share.
"""

import asyncio
import json
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from loguru import logger
from pydantic import SecretStr

from platform_api.tasks import Supervisor, Task
from platform_config import DatabaseSettings
from platform_infrastructure.postgres.leadership import AdvisoryLeadership

EVERY_SECONDS = 0.1


@dataclass(frozen=True)
class Options:
    url: str
    journal: str
    seconds: float = 0.05
    """How long a run takes."""

    async def work(self, stopping: asyncio.Event) -> None:
        self._note("began")
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self._note("ended")

    def _note(self, what: str) -> None:
        with Path(self.journal).open("a", encoding="utf-8") as journal:
            journal.write(f"{os.getpid()} {what} {time.monotonic()}\n")


async def run(options: Options) -> None:
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    leadership = AdvisoryLeadership(DatabaseSettings(url=SecretStr(options.url)))
    task = Task("work", options.work, every=EVERY_SECONDS)
    async with leadership.opened(), Supervisor([task], leadership, stop_timeout=0.1):
        await stopped.wait()


if __name__ == "__main__":
    logger.remove()
    logger.add(sys.stdout, format="{message}", diagnose=False)
    asyncio.run(run(Options(**json.loads(sys.argv[1]))))

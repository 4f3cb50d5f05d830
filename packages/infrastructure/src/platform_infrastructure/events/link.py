"""Keeps the connection that events come in by: whenever it is lost, another is opened."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from loguru import logger

from platform_domain.health import Health, HealthCheck, Status
from platform_infrastructure.postgres.connect import cause, failure

FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 2.0


class Link(HealthCheck):
    """Runs `follow`, which opens a connection, tells `connected`, and reads until it is lost.

    Losing it is not a crash: what was missed can be replayed, and publishing may go on. While it
    is lost, the node is degraded.
    """

    name = "events"

    def __init__(
        self, follow: Callable[[], Awaitable[None]], losses: tuple[type[Exception], ...]
    ) -> None:
        """`losses` are the errors that mean a lost connection; others are bugs and pass through."""
        self._follow = follow
        self._losses = losses
        self._attempts = 0
        self._was_up = False
        self._is_up = asyncio.Event()
        self._health = Health(Status.DEGRADED, datetime.now(UTC), problem="not connected yet")

    def health(self) -> Health:
        return self._health

    def connected(self) -> bool:
        """Take note of it, and say whether there was a connection before this one."""
        if self._attempts:
            logger.info("Events come in again.")
        was_up, self._was_up = self._was_up, True
        self._attempts = 0
        self._is_up.set()
        self._health = Health(Status.UP, datetime.now(UTC))
        return was_up

    async def wait(self) -> None:
        """Return when there is a connection."""
        await self._is_up.wait()

    async def run(self, stopping: asyncio.Event) -> None:
        following = asyncio.create_task(self._keep_following(), name="events link")
        told = asyncio.create_task(stopping.wait())
        try:
            await asyncio.wait({following, told}, return_when=asyncio.FIRST_COMPLETED)
            if following.done():
                following.result()
        finally:
            for task in (following, told):
                task.cancel()
            await asyncio.gather(following, told, return_exceptions=True)
            self._is_up.clear()

    async def _keep_following(self) -> None:
        while True:
            try:
                await self._follow()
            except self._losses as error:
                self._lost(error)
            await asyncio.sleep(self._pause())

    def _lost(self, error: Exception) -> None:
        if not self._attempts:
            logger.warning("Events do not come in; reconnecting", problem=cause(error))
            self._health = Health(Status.DEGRADED, datetime.now(UTC), problem=failure(error))
        self._is_up.clear()
        self._attempts += 1

    def _pause(self) -> float:
        """Double with each attempt; shortened at random, so that nodes do not come back in step."""
        full = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0**self._attempts)
        return full * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, keeps no secret

"""What every engine has besides its port, for whoever starts and stops the process."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from platform_domain.event_bus import EventBus
from platform_domain.health import HealthCheck


class EventEngine(EventBus):
    checks: Sequence[HealthCheck] = ()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Hold what has to be given back at the end."""
        yield

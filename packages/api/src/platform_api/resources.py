"""What is opened before the first request and closed, in reverse, after the last."""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from loguru import logger


@dataclass(frozen=True, slots=True)
class Resource:
    """`open` returns a context manager that is entered at start-up and left at the stop."""

    name: str
    open: Callable[[], AbstractAsyncContextManager[object]]


@asynccontextmanager
async def opened(resources: Sequence[Resource]) -> AsyncIterator[None]:
    """Open all in order and say how long each took; close them in reverse, whatever happens."""
    async with AsyncExitStack() as stack:
        for resource in resources:
            started = time.perf_counter()
            await stack.enter_async_context(resource.open())
            logger.info("Ready: {} ({:.2f} s)", resource.name, time.perf_counter() - started)
        yield

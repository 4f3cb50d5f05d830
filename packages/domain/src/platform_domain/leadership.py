"""The port for work that only one process of a deployment may do."""

from collections.abc import Awaitable, Callable
from typing import Protocol


class Leadership(Protocol):
    """Of all processes of a deployment at most one leads. It leads until it ends."""

    async def run(self, work: Callable[[], Awaitable[None]]) -> bool:
        """Run `work` if this process leads, and return whether it ran to its end.

        `work` is cancelled as soon as this process does not lead any more. Raises what `work`
        raises.
        """
        ...

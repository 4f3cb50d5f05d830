"""The port for work that only one process of a deployment may do."""

from collections.abc import Awaitable, Callable
from typing import Protocol


class Leadership(Protocol):
    """At most one process of a deployment is the leader. It stays the leader until it ends."""

    async def run(self, work: Callable[[], Awaitable[None]]) -> bool:
        """Run `work` if this process is the leader, and return whether it completed.

        `work` is cancelled as soon as this process is no longer the leader. Raises what `work`
        raises.
        """
        ...

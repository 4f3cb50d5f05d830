"""The port for work that happens whole or not at all."""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

T = TypeVar("T")


class UnitOfWork(Protocol):
    """Runs a piece of work so that everything it stored is kept, or nothing."""

    async def run(self, work: Callable[[], Awaitable[T]], *, serializable: bool = False) -> T:
        """Run `work` and keep what it did; undo everything if it raises.

        `work` may run more than once, so it must do nothing but call ports. A run inside a run
        joins the outer one. What a port raised inside `work` ends the unit: catching it does not
        save the rest, and `run` raises it again. A `serializable` unit sees the store as if nobody
        else was changing it. Raises what `work` raises, and `Unavailable` when the store cannot
        be reached.
        """
        ...

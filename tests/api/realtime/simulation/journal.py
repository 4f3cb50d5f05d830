"""What happened in a simulated world, and what went wrong in it."""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from platform_domain.event_bus import Position


class Violation(AssertionError):
    """A promise of the realtime layer was broken."""


def require(holds: object, sentence: str) -> None:
    """Raises `Violation`."""
    if not holds:
        raise Violation(sentence)


@dataclass(slots=True)
class Journal:
    truth: dict[tuple[str, Position], bytes] = field(default_factory=dict)
    """Every event that was ever published."""
    seen: Counter[str] = field(default_factory=Counter)
    """How often what was seen by a client."""
    errors: list[BaseException] = field(default_factory=list)
    """What was raised where nobody else would hear of it."""

    async def watched(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do `work`; its error is everybody's."""
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - raised again by `check`
            self.errors.append(error)

    def require(self, holds: object, sentence: str) -> None:
        """Note a `Violation` where raising one would be taken for the error of a handler."""
        if not holds:
            self.errors.append(Violation(sentence))

    def check(self) -> None:
        """Raises the first error there was, as a `Violation`."""
        if self.errors:
            error = self.errors[0]
            raise Violation(str(error) or repr(error)) from error

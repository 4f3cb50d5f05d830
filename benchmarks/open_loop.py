"""Load at a fixed rate, and how long after it was due everything arrived."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Hashable

now = time.perf_counter

Key = tuple[Hashable, Hashable]
Act = Callable[[int], Coroutine[object, object, None]]


class Latencies:
    """Everything that is waited for, and the seconds from due to arrival of what has come.

    A key says of what it is, and then which.
    """

    def __init__(self) -> None:
        self.arrived: list[float] = []
        self._due: dict[Key, float] = {}
        self._settled = asyncio.Event()

    @property
    def missing(self) -> int:
        return len(self._due)

    def expect(self, key: Key, due: float) -> None:
        self._due[key] = due
        self._settled.clear()

    def arrive(self, key: Key) -> None:
        """Raises KeyError for what nobody waits for, such as a second answer."""
        self.arrived.append(now() - self._due.pop(key))
        if not self._due:
            self._settled.set()

    def forget(self, of: Hashable) -> None:
        """Wait for nothing more of what is gone."""
        self._due = {key: due for key, due in self._due.items() if key[0] != of}
        if not self._due:
            self._settled.set()

    async def settle(self, seconds: float) -> None:
        """Return when nothing is missing, or after so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self._settled.wait()
        except TimeoutError:
            return


class OpenLoop:
    """Starts one action at each of `count` times, `rate` a second, and waits for none of them."""

    def __init__(self, *, rate: float, seconds: float) -> None:
        self.rate = rate
        self.count = round(rate * seconds)
        self.late: list[float] = []
        self._began = 0.0

    async def run(self, act: Act) -> float:
        """Call `act` with 0, 1, 2 …; return the seconds until the last one ended."""
        self._began = now()
        async with asyncio.TaskGroup() as actions:
            for number in range(self.count):
                await asyncio.sleep(max(0.0, self.due(number) - now()))
                self.late.append(now() - self.due(number))
                actions.create_task(act(number))
        return now() - self._began

    def due(self, number: int) -> float:
        """Return when an action was to begin, by the clock of `now`."""
        return self._began + number / self.rate

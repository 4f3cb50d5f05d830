"""What a socket costs that says nothing: `python -m benchmarks.idle --sockets 10000`.

The time it waits is longer than the heartbeat's, so that sockets which the server would lose are
lost. Then each has to answer. Memory is what the server's process has resident.
"""

import argparse
import asyncio
import sys
import time
from dataclasses import dataclass

from benchmarks.crowd import Crowd
from benchmarks.server import Server, serving
from benchmarks.usage import Usage
from platform_api.server.loop import new_loop

MAX_KIB = 32.0
SETTLE_SECONDS = 30.0
PING = b'{"type":"ping"}'


@dataclass(frozen=True, slots=True)
class Figures:
    sockets: int
    answered: int
    opening_seconds: float
    before: Usage
    opened: Usage
    idle: Usage
    left: Usage
    idle_seconds: float

    @property
    def kib_each(self) -> float:
        """What the sockets have added, at most: just opened, or after they were idle."""
        most = max(self.opened.memory, self.idle.memory)
        return (most - self.before.memory) / self.sockets / 1024

    @property
    def passed(self) -> bool:
        return self.answered == self.sockets and self.kib_each <= MAX_KIB

    def __str__(self) -> str:
        cpu = (self.idle.cpu - self.opened.cpu) / self.idle_seconds
        memory = {
            "before": self.before,
            "opened": self.opened,
            f"after {self.idle_seconds:.0f} s": self.idle,
            "when they had left": self.left,
        }
        return "\n".join(
            (
                f"{self.sockets} idle sockets",
                f"  opened       {self.sockets / self.opening_seconds:.0f}/s",
                f"  answered     {self.answered}",
                f"  server RSS   {', '.join(f'{u.mebibytes} {when}' for when, u in memory.items())}",
                f"  each         {self.kib_each:.1f} KiB (target: {MAX_KIB:g} at most)",
                f"  server CPU   {100 * cpu:.1f} % of a core while idle",
            )
        )


def main() -> int:
    parser = argparse.ArgumentParser(description="Open sockets and leave them alone.")
    parser.add_argument("--sockets", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=45)
    arguments = parser.parse_args()
    with (
        serving(SOCKETS_MAX=arguments.sockets) as server,
        asyncio.Runner(loop_factory=new_loop) as runner,
    ):
        figures = runner.run(run(server, arguments.sockets, arguments.seconds))
    print(figures)
    return 0 if figures.passed else 1


async def run(server: Server, sockets: int, seconds: float) -> Figures:
    crowd = Crowd()
    before = Usage.of(server.pid)
    began = time.perf_counter()
    await crowd.open(server.port, [f"/api/v1/ws?user=user-{n}" for n in range(sockets)])
    await crowd.hear(sockets, within=SETTLE_SECONDS)  # The welcomes.
    opening = time.perf_counter() - began
    opened = Usage.of(server.pid)
    await asyncio.sleep(seconds)
    idle = Usage.of(server.pid)
    crowd.tell(PING)
    answered = await crowd.hear(sockets, within=SETTLE_SECONDS)
    await crowd.leave()
    left = Usage.of(server.pid)
    return Figures(sockets, answered, opening, before, opened, idle, left, seconds)


if __name__ == "__main__":
    sys.exit(main())

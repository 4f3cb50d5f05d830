"""One message to many sockets, against the loop that everybody writes.

```
uv run --group benchmarks python -m benchmarks.fanout --sockets 500
uv run --group benchmarks python -m benchmarks.fanout --sockets 5000 --loop asyncio
```

Both servers run at once on the same core, each with its own crowd of sockets in one client, and are
measured in turns. In a turn a message is sent as soon as the one before has reached everybody.
Deliveries are what arrives, in messages of the same size. Exit code 1: fewer than the plain loop's.
"""

import argparse
import asyncio
import json
import statistics
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.crowd import Crowd
from benchmarks.server import Server, serving, started
from platform_api.server.loop import new_loop

PATIENCE_SECONDS = 10.0
TEXT = "A message of a usual length, such as a change of a scene that somebody else has open now."
SHOW = json.dumps({"type": "show", "text": TEXT}).encode()
# Of one of our messages.
SIZE = len(TEXT) + len(
    '{"type":"event","topic":"stage","position":{"epoch":"0123456789abcdef","offset":1000},'
    '"data":{"type":"shown","text":""}}'
)
LOOPS = ("uvloop", "asyncio")
ROOT = str(Path(__file__).parents[1])
OURS = (sys.executable, "-m", "benchmarks.stage")
OUR_SETTINGS = {"PYTHONPATH": ROOT, "SOCKETS_MESSAGES_PER_SECOND": 100_000}
PLAIN = (
    *(sys.executable, "-m", "uvicorn", "benchmarks.plain_broadcast:app"),
    *("--port", "0", "--ws", "websockets-sansio"),
)


@dataclass
class Side:
    """One of the two servers, with everybody who is connected to it."""

    name: str
    crowd: Crowd
    message: bytes
    turns: list[float] = field(default_factory=list)
    """Deliveries a second, of each turn."""

    async def take_turn(self, seconds: float) -> None:
        began = time.perf_counter()
        messages = 0
        while time.perf_counter() < began + seconds:
            await self.show()
            messages += 1
        self.turns.append(messages * len(self.crowd.sockets) / (time.perf_counter() - began))

    async def show(self) -> None:
        """Raises RuntimeError when not everybody was told."""
        self.crowd.sockets[0].tell(self.message)
        everybody = len(self.crowd.sockets)
        if await self.crowd.hear(everybody, within=PATIENCE_SECONDS) < everybody:
            raise RuntimeError(f"A message of {self.name} did not reach everybody.")

    @property
    def median(self) -> float:
        return statistics.median(self.turns)

    def __str__(self) -> str:
        round_trip = 1000 * len(self.crowd.sockets) / self.median
        return (
            f"  {self.name:<6} {self.median:>8,.0f}/s, to everybody in {round_trip:.1f} ms"
            f" (turns: {', '.join(f'{turn:,.0f}' for turn in self.turns)})"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare our fan-out with a plain loop's.")
    parser.add_argument("--sockets", type=int, default=500)
    parser.add_argument("--turns", type=int, default=7, help="of each server")
    parser.add_argument("--seconds", type=float, default=2, help="of each turn")
    parser.add_argument("--loop", choices=LOOPS, default="uvloop", help="of both servers")
    arguments = parser.parse_args()
    with (
        serving(OURS, **OUR_SETTINGS, BENCHMARK_LOOP=arguments.loop) as ours,
        started((*PLAIN, "--loop", arguments.loop), {"PYTHONPATH": ROOT}) as plain,
        asyncio.Runner(loop_factory=new_loop) as runner,
    ):
        sides = runner.run(run(ours, plain, arguments))
    print(f"Fan-out to {arguments.sockets} sockets, {arguments.loop}", *sides, sep="\n")
    ours_median, plain_median = (side.median for side in sides)
    print(f"  ours / plain: {ours_median / plain_median:.2f} (target: 1 at least)")
    return 0 if ours_median >= plain_median else 1


async def run(ours: Server, plain: Server, arguments: argparse.Namespace) -> list[Side]:
    sides = [
        Side("ours", await on_stage(ours, arguments.sockets), SHOW),
        Side("plain", await connected(plain, arguments.sockets), b"x" * SIZE),
    ]
    for side in sides:
        await side.show()  # It warms up.
    for _ in range(arguments.turns):
        for side in sides:
            await side.take_turn(arguments.seconds)
    for side in sides:
        await side.crowd.leave()
    return sides


async def on_stage(server: Server, sockets: int) -> Crowd:
    crowd = Crowd()
    await crowd.open(server.port, [f"/api/v1/ws?user=user-{n}" for n in range(sockets)])
    crowd.tell(b'{"type":"subscribe","topic":"stage"}')
    await crowd.hear(2 * sockets, within=PATIENCE_SECONDS)  # Each is welcomed and subscribed.
    return crowd


async def connected(server: Server, sockets: int) -> Crowd:
    crowd = Crowd()
    await crowd.open(server.port, ["/"] * sockets)
    return crowd


if __name__ == "__main__":
    sys.exit(main())

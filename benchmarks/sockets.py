"""Messages over many WebSockets: `python -m benchmarks.sockets --sockets 500 --rate 2`.

Every socket pings and expects its pong. With `--resets 50` so many sockets end by an RST in the
meantime, at random moments, and come back; only what such a socket waited for may be missing. With
`--events` every socket is told instead: its user's project is renamed, and a latency runs from when
that request was due until the event is here. Exit code 1: an answer is missing, or p99 is too high.
"""

import argparse
import asyncio
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

from benchmarks.http_client import HttpClient
from benchmarks.open_loop import OpenLoop
from benchmarks.report import Report, percentile
from benchmarks.server import Server, serving
from benchmarks.traffic import Events, Pings, Traffic
from benchmarks.usage import Usage
from platform_api.server.loop import new_loop

SOCKETS_OF_A_USER = 5
SETTLE_SECONDS = 5.0
MAX_P99_SECONDS = 0.05


def main() -> int:
    parser = argparse.ArgumentParser(description="Send messages over WebSockets at a fixed rate.")
    parser.add_argument("--sockets", type=int, default=500)
    parser.add_argument("--rate", type=float, default=2, help="messages a second on each socket")
    parser.add_argument("--seconds", type=float, default=30)
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument("--resets", type=int, default=0, help="sockets that break meanwhile")
    kinds.add_argument("--events", action="store_true", help="events instead of pings")
    arguments = parser.parse_args()
    with serving() as server, asyncio.Runner(loop_factory=new_loop) as runner:
        report = runner.run(run(server, arguments))
    print(report)
    if report.latencies.missing:
        return 1
    return 0 if percentile(sorted(report.latencies.arrived), 99) <= MAX_P99_SECONDS else 1


async def run(server: Server, arguments: argparse.Namespace) -> Report:
    users = [f"user-{number // SOCKETS_OF_A_USER}" for number in range(arguments.sockets)]
    with closing(HttpClient(server.port)) as http:
        pings = None if arguments.events else await Pings.prepared(server.port, users)
        traffic: Traffic = pings or await Events.prepared(server.port, http, users)
        load = OpenLoop(rate=arguments.rate * traffic.senders, seconds=arguments.seconds)
        before = Usage.of(server.pid)
        async with resetting(pings, arguments.resets, arguments.seconds):
            seconds = await load.run(lambda number: traffic.send(number, load.due(number)))
            await traffic.latencies.settle(SETTLE_SECONDS)
        after = Usage.of(server.pid)
        await traffic.lines.leave()
    title = f"{len(users)} sockets, {traffic.title}, {load.rate:g}/s sent"
    if arguments.resets:
        title += f", {arguments.resets} resets"
    return Report(title, load, traffic.latencies, http.failures, seconds, before, after)


@asynccontextmanager
async def resetting(pings: Pings | None, count: int, seconds: float) -> AsyncIterator[None]:
    """Break `count` random lines at random moments of the coming `seconds`; all are back at the
    end of the block. Raises what opening a socket raises."""

    async def reset_one() -> None:
        assert pings is not None
        await asyncio.sleep(random.uniform(0, seconds))
        await pings.reset(random.randrange(pings.senders))

    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(reset_one())
        yield


if __name__ == "__main__":
    sys.exit(main())

"""Reads of one project over HTTP: `python -m benchmarks.reads --rate 200 --seconds 20`."""

import argparse
import asyncio
import sys
from contextlib import closing

from benchmarks.http_client import HttpClient
from benchmarks.open_loop import Latencies, OpenLoop
from benchmarks.report import Report
from benchmarks.server import Server, serving
from benchmarks.usage import Usage
from platform_api.server.loop import new_loop

USER = "alice"
WARM_UP = 200


def main() -> int:
    parser = argparse.ArgumentParser(description="Read one project at a fixed rate.")
    parser.add_argument("--rate", type=float, default=200, help="reads a second")
    parser.add_argument("--seconds", type=float, default=20)
    arguments = parser.parse_args()
    load = OpenLoop(rate=arguments.rate, seconds=arguments.seconds)
    with serving() as server, asyncio.Runner(loop_factory=new_loop) as runner:
        report = runner.run(reads(server, load))
    print(report)
    return 1 if report.latencies.missing else 0


async def reads(server: Server, load: OpenLoop) -> Report:
    latencies = Latencies()
    with closing(HttpClient(server.port)) as http:
        path = await http.create_project(USER)

        async def read(number: int) -> None:
            latencies.expect((USER, number), load.due(number))
            if await http.succeeds("GET", path, user=USER):
                latencies.arrive((USER, number))

        for _ in range(WARM_UP):
            await http.succeeds("GET", path, user=USER)
        before = Usage.of(server.pid)
        seconds = await load.run(read)
        after = Usage.of(server.pid)
    title = f"Reads of a project, {load.rate:g}/s"
    return Report(title, load, latencies, http.failures, seconds, before, after)


if __name__ == "__main__":
    sys.exit(main())

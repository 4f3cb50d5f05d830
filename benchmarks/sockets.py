"""Messages over many WebSockets: `python -m benchmarks.sockets --sockets 500 --rate 2`.

Every socket pings and expects its pong. With `--events` every socket is told instead: its user's
project is renamed, and a latency runs from when that request was due until the event is here.
"""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from benchmarks.http_client import HttpClient
from benchmarks.open_loop import OpenLoop
from benchmarks.report import Report
from benchmarks.server import Server, serving
from benchmarks.traffic import Events, Message, Pings, Traffic
from benchmarks.usage import Usage
from platform_api.server.loop import new_loop

SOCKETS_OF_A_USER = 5
CONNECTING_AT_A_TIME = 50
SETTLE_SECONDS = 5.0


def main() -> int:
    parser = argparse.ArgumentParser(description="Send messages over WebSockets at a fixed rate.")
    parser.add_argument("--sockets", type=int, default=500)
    parser.add_argument("--rate", type=float, default=2, help="messages a second on each socket")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--events", action="store_true", help="events instead of pings")
    arguments = parser.parse_args()
    with serving() as server, asyncio.Runner(loop_factory=new_loop) as runner:
        report = runner.run(run(server, arguments))
    print(report)
    return 1 if report.latencies.missing else 0


async def run(server: Server, arguments: argparse.Namespace) -> Report:
    users = [f"user-{number // SOCKETS_OF_A_USER}" for number in range(arguments.sockets)]
    with closing(HttpClient(server.port)) as http:
        async with connected(server, users) as sockets:
            traffic: Traffic = (
                await Events.prepared(http, sockets, users) if arguments.events else Pings(sockets)
            )
            load = OpenLoop(rate=arguments.rate * traffic.senders, seconds=arguments.seconds)
            before = Usage.of(server.pid)
            async with listening(sockets, traffic.received):
                seconds = await load.run(lambda number: traffic.send(number, load.due(number)))
                await traffic.latencies.settle(SETTLE_SECONDS)
            after = Usage.of(server.pid)
    title = f"{len(users)} sockets, {traffic.title}, {load.rate:g}/s sent"
    return Report(title, load, traffic.latencies, http.failures, seconds, before, after)


@asynccontextmanager
async def connected(
    server: Server, users: Sequence[str]
) -> AsyncIterator[Sequence[ClientConnection]]:
    """Open one socket for each of `users`, in their order."""
    turns = asyncio.Semaphore(CONNECTING_AT_A_TIME)

    async def opened(user: str) -> ClientConnection:
        url = f"ws://127.0.0.1:{server.port}/api/v1/ws?user={user}"
        async with turns:
            return await connect(url, compression=None, proxy=None)

    async with AsyncExitStack() as leaving:
        sockets = await asyncio.gather(*map(opened, users))
        for socket in sockets:
            leaving.push_async_callback(socket.close)
        yield sockets


@asynccontextmanager
async def listening(
    sockets: Sequence[ClientConnection], received: Callable[[int, Message], None]
) -> AsyncIterator[None]:
    """Give all that comes to `received`, until the end of the block."""

    async def listen(number: int, socket: ClientConnection) -> None:
        try:
            while True:
                received(number, orjson.loads(await socket.recv(decode=False)))
        except ConnectionClosed as error:
            print(f"Socket {number}: {error}", file=sys.stderr)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(listen(*each)) for each in enumerate(sockets)]
        yield
        for task in tasks:
            task.cancel()


if __name__ == "__main__":
    sys.exit(main())

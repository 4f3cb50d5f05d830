"""Clients that stop reading, and whether the others notice: `python -m benchmarks.stuck`.

Messages are due at a fixed rate and told to everybody. In every second turn some more sockets
listen that read nothing. Each of those has to be closed with 4413, the memory it took has to come
back, and the p99 of the others, from when a message was due, may at most double. A stuck client
reads on at the end of its turn, to see why it was closed. Exit code 1: one of these does not hold.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain

from benchmarks.crowd import Crowd
from benchmarks.fanout import OUR_SETTINGS, OURS, PATIENCE_SECONDS, on_stage
from benchmarks.open_loop import OpenLoop, now
from benchmarks.report import milliseconds, percentile
from benchmarks.server import Server, serving
from benchmarks.usage import Usage
from benchmarks.web_socket import WebSocket
from platform_api.realtime.close_codes import CloseCode
from platform_api.server.loop import new_loop

MAX_RATIO = 2.0
MAX_KEPT_BYTES = 8 * 2**20
PADDING = "x" * 4_000
DIGITS = 8
RECEIVE_BUFFER = 4096


@dataclass
class Turn:
    """What the sockets that read have heard, and how the others were closed."""

    stuck: int
    expected: int
    due: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)

    def hears(self, message: bytes) -> None:
        """Take the time of a message, which ends with its number: `…00000012"}}`."""
        self.latencies.append(now() - self.due[int(message[-3 - DIGITS : -3])])

    @property
    def is_whole(self) -> bool:
        closed = [CloseCode.SLOW_CONSUMER] * self.stuck
        return len(self.latencies) == self.expected and self.codes == closed

    def __str__(self) -> str:
        codes = f", closed with {sorted(set(self.codes))}" if self.stuck else ""
        return (
            f"  {self.stuck} stuck: {len(self.latencies)} of {self.expected} arrived, "
            f"{milliseconds(self.latencies)}{codes}"
        )


@dataclass(frozen=True)
class Figures:
    turns: Sequence[Turn]
    before: Usage
    after: Usage

    @property
    def ratio(self) -> float:
        """Of the p99 of all turns with stuck clients to that of all without."""
        return self._p99(stuck=True) / self._p99(stuck=False)

    def _p99(self, *, stuck: bool) -> float:
        turns = (turn.latencies for turn in self.turns if bool(turn.stuck) is stuck)
        return percentile(sorted(chain.from_iterable(turns)), 99)

    @property
    def kept(self) -> int:
        """Bytes that the server has more after the last turn than before the first."""
        return self.after.memory - self.before.memory

    @property
    def passed(self) -> bool:
        return (
            all(turn.is_whole for turn in self.turns)
            and self.ratio <= MAX_RATIO
            and self.kept <= MAX_KEPT_BYTES
        )

    def __str__(self) -> str:
        return "\n".join(
            (
                *map(str, self.turns),
                f"  p99 with stuck / without: {self.ratio:.2f} (target: {MAX_RATIO:g} at most)",
                f"  server RSS   {self.before.mebibytes} before, {self.after.mebibytes} after",
            )
        )


def main() -> int:
    parser = argparse.ArgumentParser(description="See what a client that stops reading does.")
    parser.add_argument("--sockets", type=int, default=100)
    parser.add_argument("--stuck", type=int, default=5)
    parser.add_argument("--rate", type=float, default=150, help="messages a second")
    parser.add_argument("--seconds", type=float, default=10, help="of each turn")
    parser.add_argument("--turns", type=int, default=3, help="of each kind")
    arguments = parser.parse_args()
    with (
        serving(OURS, **OUR_SETTINGS, BENCHMARK_LOOP="uvloop") as server,
        asyncio.Runner(loop_factory=new_loop) as runner,
    ):
        figures = runner.run(run(server, arguments))
    print(
        f"{arguments.sockets} sockets that read, {arguments.rate:g} messages/s", figures, sep="\n"
    )
    return 0 if figures.passed else 1


async def run(server: Server, arguments: argparse.Namespace) -> Figures:
    crowd = await on_stage(server, arguments.sockets)
    publisher = await WebSocket.to(server.port, "/api/v1/ws?user=publisher", _ignore)

    async def turn(stuck: int) -> Turn:
        stopped = [await _stopped(server, number) for number in range(stuck)]
        load = OpenLoop(rate=arguments.rate, seconds=arguments.seconds)
        heard = await told(crowd, publisher, load, stuck)
        heard.codes += [await _read_to_the_end(socket) for socket in stopped]
        return heard

    await turn(0)  # From then on the engine keeps as many events as it ever does.
    before = Usage.of(server.pid)
    turns = [await turn(stuck) for _ in range(arguments.turns) for stuck in (arguments.stuck, 0)]
    after = Usage.of(server.pid)
    await crowd.leave()
    await publisher.leave()
    return Figures(turns, before, after)


async def told(crowd: Crowd, publisher: WebSocket, load: OpenLoop, stuck: int) -> Turn:
    """Tell the crowd the messages of one turn."""
    heard = Turn(stuck, load.count * len(crowd.sockets))

    async def show(number: int) -> None:
        heard.due.append(load.due(number))
        text = f"{PADDING}{number:0{DIGITS}}"
        publisher.tell(json.dumps({"type": "show", "text": text}).encode())

    crowd.hands_on = heard.hears
    await load.run(show)
    await crowd.hear(heard.expected, within=PATIENCE_SECONDS)
    return heard


async def _stopped(server: Server, number: int) -> WebSocket:
    """Return a socket that is on the stage and reads nothing more."""
    subscribed = asyncio.Event()

    def hears(message: bytes) -> None:
        if b'"subscribed"' in message:
            subscribed.set()

    path = f"/api/v1/ws?user=stuck-{number}"
    socket = await WebSocket.to(server.port, path, hears, receive_buffer=RECEIVE_BUFFER)
    socket.tell(b'{"type":"subscribe","topic":"stage"}')
    await subscribed.wait()
    socket.transport.pause_reading()
    return socket


async def _read_to_the_end(socket: WebSocket) -> int:
    """Return the close code."""
    socket.transport.resume_reading()
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await socket.closed


def _ignore(message: bytes) -> None: ...


if __name__ == "__main__":
    sys.exit(main())

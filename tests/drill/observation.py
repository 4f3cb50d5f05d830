"""What clients saw around one fault."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.drill.traffic import Answer, Ledger, Probes, Traffic, failures

BEFORE_SECONDS = 1.0
AFTER_SECONDS = 3.0

Step = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Observation:
    """The fault lasted from `began` to `ended` (`time.monotonic`)."""

    began: float
    ended: float
    answers: Sequence[Answer]
    ledgers: Sequence[Ledger]
    live: Sequence[Answer]
    ready: Sequence[Answer]
    sockets_stay: bool

    @property
    def failed(self) -> list[Answer]:
        return failures(self.answers)

    @property
    def failed_reads(self) -> int:
        return sum(answer.method == "GET" for answer in self.failed)

    @property
    def not_503(self) -> list[Answer]:
        """Failures that are no 503 with a Retry-After."""
        return [
            answer for answer in self.failed if answer.status != 503 or answer.retry_after is None
        ]

    @property
    def slowest(self) -> float:
        return max(answer.seconds for answer in self.answers)

    @property
    def recovered(self) -> float:
        """Seconds from the fault to the end of the last answer that failed."""
        return max((answer.ended - self.began for answer in self.failed), default=0.0)

    @property
    def first_good(self) -> float:
        """Seconds from the end of the fault to the first answer that is good, of a write."""
        good = (a.ended for a in self.answers if a.good and a.method != "GET")
        return min((end - self.ended for end in good if end > self.ended), default=float("inf"))

    @property
    def always_live(self) -> bool:
        return all(answer.good for answer in self.live)

    @property
    def unready(self) -> float:
        """Seconds from the fault to the first readiness that is 503."""
        told = (answer.ended for answer in self.ready if not answer.good)
        return min((end - self.began for end in told if end > self.began), default=float("inf"))


async def observed(port: int, name: str, start: Step, end: Step, seconds: float) -> Observation:
    """Let a fault of so many seconds happen under traffic, and look on."""
    traffic, probes = Traffic(port, name), Probes(port)
    async with connect(f"ws://127.0.0.1:{port}/api/v1/ws") as socket, traffic, probes:
        await asyncio.sleep(BEFORE_SECONDS)
        began = time.monotonic()
        await start()
        await asyncio.sleep(seconds)
        await end()
        ended = time.monotonic()
        await asyncio.sleep(AFTER_SECONDS)
        stays = await _answers(socket)
    return Observation(
        began=began,
        ended=ended,
        answers=traffic.answers,
        ledgers=traffic.ledgers,
        live=probes.live,
        ready=probes.ready,
        sockets_stay=stays,
    )


async def _answers(socket: ClientConnection) -> bool:
    try:
        async with asyncio.timeout(1):
            await (await socket.ping())
    except (ConnectionClosed, TimeoutError):
        return False
    return True

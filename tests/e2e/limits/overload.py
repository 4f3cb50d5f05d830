"""Twice as much offered as a server can do, and how it fares."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.e2e.hardening.server import cpu_seconds
from tests.e2e.limits.load import Answer, Load

CONNECTIONS, AT_ONCE = 200, 8
CALIBRATION_SECONDS, OVERLOAD_SECONDS = 4.0, 20.0
HEALTH_RATE = 10
PROBE = b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@dataclass(frozen=True)
class Period:
    """What happened in a time, and the seconds a core really worked for the server meanwhile: a
    machine that is shared has less of them."""

    answers: list[Answer]
    probes: list[Answer]
    wall: float
    cpu: float

    @property
    def successes(self) -> int:
        return sum(answer.status == 200 for answer in self.answers)

    @property
    def rate(self) -> float:
        """Successes a second."""
        return self.successes / self.wall

    @property
    def goodput(self) -> float:
        """Successes in a second of a core."""
        return self.successes / self.cpu

    def __add__(self, other: "Period") -> "Period":
        return Period(
            self.answers + other.answers,
            self.probes + other.probes,
            self.wall + other.wall,
            self.cpu + other.cpu,
        )

    def latency(self, status: int, quantile: float) -> float:
        """Return the seconds, as they would be with a core for the server alone."""
        ordered = sorted(answer.seconds for answer in self.answers if answer.status == status)
        return ordered[int(len(ordered) * quantile)] * min(1.0, self.cpu / self.wall)

    def __str__(self) -> str:
        return (
            f"{self.rate:.0f}/s good of {len(self.answers) / self.wall:.0f}/s, "
            f"{self.goodput:.0f} in a second of the core, {self.cpu / self.wall:.0%} of it used, "
            + ", ".join(
                f"{status}: p50 {self.latency(status, 0.5) * 1000:.0f} "
                f"p99 {self.latency(status, 0.99) * 1000:.0f} ms"
                for status in sorted({answer.status for answer in self.answers})
            )
        )


async def capacity_of(port: int, pid: int, ask: bytes) -> Period:
    """Send as fast as the server answers, on as many connections as in the overload."""
    load = Load(port, ask)
    await load.open(CONNECTIONS)
    await load.saturate(CALIBRATION_SECONDS / 4, at_once=AT_ONCE)
    load.answers.clear()
    began = cpu_seconds(pid)
    await load.saturate(CALIBRATION_SECONDS, at_once=AT_ONCE)
    load.close()
    cpu = cpu_seconds(pid) - began
    return Period(load.answers, [], CALIBRATION_SECONDS, cpu)


async def overload_of(port: int, pid: int, ask: bytes, rate: float) -> Period:
    """Send `rate` requests a second, whatever the server answers, and ask for its health."""
    load, health = Load(port, ask), Load(port, PROBE)
    await load.open(CONNECTIONS)
    await health.open(HEALTH_RATE)
    began = cpu_seconds(pid)
    async with asyncio.TaskGroup() as offers:
        offers.create_task(load.offer(rate, OVERLOAD_SECONDS))
        offers.create_task(health.offer(HEALTH_RATE, OVERLOAD_SECONDS))
    cpu = cpu_seconds(pid) - began
    assert load.unsent == 0, f"{load.unsent} of the requests were not sent"
    assert load.broken == health.broken == 0
    load.close()
    health.close()
    return Period(load.answers, health.answers, OVERLOAD_SECONDS, cpu)


@contextmanager
def core_of_its_own(pid: int) -> Iterator[None]:
    """Keep this thread off the core of the server, which is the one that is loaded."""
    mine = os.sched_getaffinity(0)
    server, *others = sorted(mine)
    os.sched_setaffinity(pid, {server})
    os.sched_setaffinity(0, set(others) or mine)
    try:
        yield
    finally:
        os.sched_setaffinity(0, mine)

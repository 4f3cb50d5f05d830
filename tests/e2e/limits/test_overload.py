"""Twice as much as the server can do, for twenty seconds."""

import asyncio
import os
from dataclasses import dataclass

import pytest

from tests.e2e.limits.load import Answer, Load
from tests.e2e.limits.server import Server, serving

WORK_SECONDS = 0.005
WARM_CONNECTIONS, CONNECTIONS = 8, 200
CALIBRATION_SECONDS, OVERLOAD_SECONDS = 4.0, 20.0
HEALTH_RATE = 10

ASK = b"GET /api/v1/trial/work HTTP/1.1\r\nHost: a\r\nX-User-Id: alice\r\n\r\n"
PROBE = b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n"


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
    def goodput(self) -> float:
        """Successes in a second of a core."""
        return self.successes / self.cpu

    def latency(self, status: int, quantile: float) -> float:
        """Return the seconds, as they would be with a core for the server alone."""
        ordered = sorted(answer.seconds for answer in self.answers if answer.status == status)
        return ordered[int(len(ordered) * quantile)] * min(1.0, self.cpu / self.wall)


async def capacity_of(server: Server) -> Period:
    load = Load(server.port, ASK)
    await load.open(WARM_CONNECTIONS)
    began = cpu_seconds(server.pid)
    await load.saturate(CALIBRATION_SECONDS)
    load.close()
    cpu = cpu_seconds(server.pid) - began
    return Period(load.answers, [], CALIBRATION_SECONDS, cpu)


async def overload_of(server: Server, rate: float) -> Period:
    load, health = Load(server.port, ASK), Load(server.port, PROBE)
    await load.open(CONNECTIONS)
    await health.open(HEALTH_RATE)
    began = cpu_seconds(server.pid)
    async with asyncio.TaskGroup() as offers:
        offers.create_task(load.offer(rate, OVERLOAD_SECONDS))
        offers.create_task(health.offer(HEALTH_RATE, OVERLOAD_SECONDS))
    cpu = cpu_seconds(server.pid) - began
    assert load.unsent == 0, "the load was not offered"
    assert load.broken == health.broken == 0
    load.close()
    health.close()
    return Period(load.answers, health.answers, OVERLOAD_SECONDS, cpu)


def cpu_seconds(pid: int) -> float:
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.load
def test_an_overloaded_server_does_what_it_can_and_sends_the_rest_away_quickly() -> None:
    async def measure() -> tuple[Period, Period]:
        with serving(work=WORK_SECONDS) as server:
            capacity = await capacity_of(server)
            return capacity, await overload_of(server, 2 * capacity.successes / capacity.wall)

    capacity, overload = asyncio.run(measure())

    assert overload.goodput >= 0.85 * capacity.goodput
    assert {answer.status for answer in overload.answers} == {200, 503}
    assert overload.latency(200, 0.99) <= 0.5
    assert overload.latency(503, 0.99) <= 0.5
    assert len(overload.probes) >= 0.9 * HEALTH_RATE * OVERLOAD_SECONDS
    assert max(probe.seconds for probe in overload.probes) <= 1.0

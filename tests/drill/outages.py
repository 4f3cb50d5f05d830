"""Faults of the network and of PostgreSQL under traffic."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from tests.drill.findings import Finding, Row, none, true, within
from tests.drill.observation import Observation, Step, observed
from tests.drill.stage import Server, Stage
from tests.drill.traffic import answered, compared

KILLS = 5
ANSWER_SECONDS = 2.0
UNREADY_SECONDS = 5.0
BACK_SECONDS = 2.0
RECOVERY_SECONDS = 0.5

Outage = Callable[[Stage, Server], Awaitable[Row]]


async def reset(stage: Stage, server: Server) -> Row:
    async def start() -> None:
        stage.proxy.reset()

    return await _blip(stage, server, "all connections reset", start)


async def terminated(stage: Stage, server: Server) -> Row:
    return await _blip(stage, server, "pg_terminate_backend of all", stage.terminate)


async def refused(stage: Stage, server: Server) -> Row:
    async def start() -> None:
        stage.proxy.refuse()

    seen = await _seen(stage, server, "refused", start, stage.proxy.restore, 5)
    return Row("refused for 5 s", _outage(seen))


async def swallowed(stage: Stage, server: Server) -> Row:
    async def start() -> None:
        stage.proxy.blackhole()

    seen = await _seen(stage, server, "swallowed", start, stage.proxy.restore, 8)
    return Row("blackhole for 8 s", _outage(seen))


async def halted(stage: Stage, server: Server) -> Row:
    seen = await _seen(stage, server, "halted", stage.halt, stage.go_on, 6)
    return Row("PostgreSQL halted (SIGSTOP) for 6 s", _outage(seen))


async def long_outage(stage: Stage, server: Server) -> Row:
    async def start() -> None:
        stage.proxy.refuse()

    seen = await _seen(stage, server, "outage", start, stage.proxy.restore, 20)
    return Row("20 s outage", _outage(seen))


async def killed(stage: Stage, server: Server) -> Row:
    async def kill_often() -> None:
        for _ in range(KILLS):
            await stage.kill()
            await stage.start_again()
            await asyncio.sleep(1.5)

    seen = await _seen(stage, server, "killed", kill_often, _nothing, 0)
    ledger = await asyncio.to_thread(compared, server.port, seen.ledgers, "killed")
    return Row(f"kill -9 of PostgreSQL, {KILLS} times", [*ledger, *_common(seen)])


OUTAGES: Sequence[Outage] = (reset, terminated, refused, swallowed, halted, long_outage, killed)


async def _blip(stage: Stage, server: Server, fault: str, start: Step) -> Row:
    seen = await _seen(stage, server, start.__name__, start, _nothing, 0)
    reads = sum(answer.method == "GET" for answer in seen.answers)
    return Row(
        fault,
        [
            none("reads failed", seen.failed_reads, of=reads),
            within("recovered after", seen.recovered, RECOVERY_SECONDS),
            *_common(seen),
        ],
    )


def _outage(seen: Observation) -> list[Finding]:
    return [
        within("slowest answer", seen.slowest, ANSWER_SECONDS),
        within("readiness 503 after", seen.unready, UNREADY_SECONDS),
        within("first good write after the end", seen.first_good, BACK_SECONDS),
        *_common(seen),
    ]


def _common(seen: Observation) -> list[Finding]:
    return [
        answered(seen.answers, seen.not_503, "failed other than by 503 with Retry-After"),
        true("liveness is always 200", seen.always_live),
        true("sockets stay", seen.sockets_stay),
    ]


async def _seen(
    stage: Stage, server: Server, name: str, start: Step, end: Step, seconds: float
) -> Observation:
    seen = await observed(server.port, name, start, end, seconds)
    stage.answers.extend([*seen.answers, *seen.live, *seen.ready])
    return seen


async def _nothing() -> None:
    """The fault ends by itself."""

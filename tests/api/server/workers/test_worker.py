"""A worker as its parent sees it; the process is real, and has less to do than a server."""

import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from platform_api.server.exit_codes import ExitCode
from platform_api.server.workers import assignment
from platform_api.server.workers import worker as module
from platform_api.server.workers.assignment import Assignment
from platform_api.server.workers.worker import Worker

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform == "win32", reason="Not supported there."),
]

ASSIGNMENT = Assignment(worker=3, public_stays=False, lent="")
SILENT = "receive()"
PREPARED = "receive(); say(b'p')"
SERVING = f"{PREPARED}; receive(); say(b'r')"
GONE = f"{PREPARED}; receive(); sys.exit(1)"
STORY = """
import sys, time
from socket import recv_fds, socket
channel = socket(fileno=0)
say = channel.send
def receive():
    assert len(recv_fds(channel, 1000, 1)[1]) == 1
{}
time.sleep(60)
"""


@asynccontextmanager
async def started(story: str) -> AsyncIterator[Worker]:
    worker = await Worker.start([sys.executable, "-S", "-c", STORY.format(story)])
    try:
        yield worker
    finally:
        worker.kill()
        await worker.ended()


async def serves(worker: Worker) -> bool:
    with socket.socket() as admin, socket.socket() as public:
        return await worker.serve(ASSIGNMENT, admin, lambda: public)


async def test_one_that_takes_its_sockets_and_says_that_it_is_ready_serves() -> None:
    async with started(SERVING) as worker:
        assert worker.number is None
        assert await serves(worker)
        assert worker.serves
        assert worker.number == 3


async def test_one_that_ends_before_it_is_ready_does_not_serve() -> None:
    async with started(GONE) as worker:
        assert not await serves(worker)
        await worker.ended()
        assert worker.end() == "exit code 1"
        assert worker.exit_code() is ExitCode.START_UP_FAILED


@pytest.mark.parametrize(
    ("story", "limit"), [(SILENT, "PREPARING_SECONDS"), (PREPARED, "LISTENING_SECONDS")]
)
async def test_one_that_makes_no_progress_is_ended(
    story: str, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, limit, 0.2)
    async with started(story) as worker:
        assert not await serves(worker)
        await worker.ended()
        assert worker.end() == "signal SIGKILL"


@pytest.mark.parametrize(
    ("is_replaced", "code"), [(True, ExitCode.CLEAN), (False, ExitCode.NOT_CLEAN)]
)
async def test_a_signal_that_comes_after_the_drain_spoils_only_a_stop_that_was_not_asked_for(
    is_replaced: bool, code: ExitCode
) -> None:
    async with started(SERVING) as worker:
        assert await serves(worker)
        if is_replaced:
            worker.say_it_is_replaced()
        worker.ask_to_stop()
        await worker.ended_within(5)
        assert worker.end() == "signal SIGTERM"
        assert worker.exit_code() is code


@pytest.mark.parametrize(("answer", "is_back"), [("File a.py", False), ("File a.py\\0", True)])
async def test_a_worker_whose_loop_turns_again_is_told_from_one_that_stands_still(
    answer: str, is_back: bool
) -> None:
    listen = f"import signal; signal.signal({assignment.STACKS:d}, lambda *_: say(b'{answer}'))"
    async with started(f"{listen}; {SERVING}") as worker:
        assert await serves(worker)

        assert await worker.stacks() == ("File a.py", is_back)

"""Failures to accept that no test can bring about by force: the system's own limits."""

import asyncio
import errno
import os
import socket
from collections.abc import Iterator

import pytest
from loguru import logger

from platform_api.server.hardening import accept_failures
from platform_api.server.hardening.accept_failures import Acceptor, installed

pytestmark = pytest.mark.anyio

EXHAUSTED = [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM]


class Listening(socket.socket):
    """Fails to accept while `error` is set."""

    error = 0
    attempts = 0

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()

    def accept(self) -> tuple[socket.socket, object]:
        self.attempts += 1
        self.asked.set()
        if self.error:
            raise OSError(self.error, os.strerror(self.error))
        return super().accept()


@pytest.fixture
def listening() -> Iterator[Listening]:
    with Listening() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.setblocking(False)
        yield listening


class Log(list[str]):
    def __init__(self) -> None:
        super().__init__()
        self.has_line = asyncio.Event()

    def write(self, line: str) -> None:
        self.append(line)
        self.has_line.set()


@pytest.fixture
def log() -> Iterator[Log]:
    log = Log()
    sink = logger.add(log.write, format="{level} {message} {extra}")
    yield log
    logger.remove(sink)


@pytest.fixture
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accept_failures, "PAUSE_SECONDS", 0.02)
    monkeypatch.setattr(accept_failures, "PERIOD_SECONDS", 0.1)


async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"hello")
    writer.close()


@pytest.mark.usefixtures("short_times")
@pytest.mark.parametrize("error", EXHAUSTED, ids=errno.errorcode.get)
async def test_connections_that_cannot_be_accepted_wait_and_are_counted_in_one_line(
    listening: Listening, log: Log, error: int
) -> None:
    loop = asyncio.get_running_loop()
    failures = installed(loop)
    acceptor = Acceptor(listening, greet, loop)
    listening.error = error

    reader, writer = await asyncio.open_connection(*listening.getsockname())
    await log.has_line.wait()
    attempts = listening.attempts
    listening.error = 0

    assert await reader.read() == b"hello"
    assert attempts <= 20, "the loop does not spin"
    (line,) = log
    assert line.startswith("ERROR Connections were refused {'refused': ")
    assert os.strerror(error) in line
    writer.close()
    acceptor.close()
    await acceptor.wait_closed()
    failures.report()


async def test_what_was_not_logged_yet_is_logged_at_the_end(log: Log) -> None:
    loop = asyncio.get_running_loop()
    failures = installed(loop)
    assert installed(loop) is failures

    for _ in range(3):
        failure = {"message": accept_failures.FAILED, "exception": OSError("full")}
        loop.call_exception_handler(failure)
    failures.report()
    failures.report()

    assert log == ["ERROR Connections were refused {'refused': 3, 'reason': 'full'}\n"]


async def test_every_other_failure_goes_where_it_went_before() -> None:
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    seen: list[str] = []
    loop.set_exception_handler(lambda _, context: seen.append(context["message"]))
    installed(loop)

    loop.call_exception_handler({"message": "something else"})

    assert seen == ["something else"]
    loop.set_exception_handler(before)


async def test_a_connection_reset_before_it_is_accepted_is_no_failure(
    listening: Listening, log: Log
) -> None:
    acceptor = Acceptor(listening, greet, asyncio.get_running_loop())
    listening.error = errno.ECONNABORTED
    _, writer = await asyncio.open_connection(*listening.getsockname())
    await listening.asked.wait()
    listening.error = 0
    writer.close()
    acceptor.close()
    await acceptor.wait_closed()

    assert log == []

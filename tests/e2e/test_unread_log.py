"""A server whose log is not read, or has no place to go."""

import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2
import pytest

from tests.e2e.serve import COMMANDS, environment
from tests.e2e.server.processes import ask, connected
from tests.infrastructure.events.valkeys import free_port
from tests.processes import PATIENCE_SECONDS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="Looks at POSIX pipes."),
]

SERVE = str(COMMANDS / "serve")
REQUESTS = 500  # About 4 KB of log each: twice what waits in memory and the pipe.
LONG_PATH = f"/nowhere/{'x' * 2000}"
QUICK_SECONDS = 5.0


class Unread:
    """A process with both outputs on a pipe of ours, which is read only on request."""

    def __init__(self, ours: int, theirs: int, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self._ours = ours
        self._theirs = theirs

    def read_until(self, pattern: bytes) -> bytes:
        text = b""
        while not re.search(pattern, text):
            assert select.select([self._ours], [], [], PATIENCE_SECONDS)[0], text.decode()
            text += os.read(self._ours, 65536)
        return text

    def port(self, line: str) -> int:
        """Read until this line with the address of the server."""
        text = self.read_until(rb"%s.*\n" % line.encode()).decode()
        return int(re.findall(rf"{line} http://127\.0\.0\.1:(\d+)", text)[-1])

    def fill(self) -> None:
        """Write until the pipe takes nothing more."""
        os.set_blocking(self._theirs, False)
        with suppress(BlockingIOError):
            while True:
                os.write(self._theirs, bytes(4096))
        os.set_blocking(self._theirs, True)


@contextmanager
def unread(command: list[str], folder: Path, **settings: str) -> Iterator[Unread]:
    ours, theirs = os.pipe()
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment(settings),
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    try:
        yield Unread(ours, theirs, process)
    finally:
        process.kill()
        process.wait(PATIENCE_SECONDS)
        os.close(theirs)
        os.close(ours)


@contextmanager
def asking(port: int) -> Iterator[httpx2.Client]:
    """Answers come within 5 s, or the test fails."""
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=QUICK_SECONDS) as http:
        yield http


def log_too_much(port: int) -> None:
    with asking(port) as http:
        for _ in range(REQUESTS):
            assert http.get(LONG_PATH).status_code == 404
        assert http.get("/health/live").status_code == 200


def test_a_server_answers_while_its_log_is_not_read_and_says_later_what_was_dropped(
    tmp_path: Path, database_url: str
) -> None:
    with unread([SERVE], tmp_path, DATABASE_URL=database_url) as server:
        log_too_much(server.port("Listening on"))

        log = server.read_until(rb"Output dropped stream=stderr lines=\d+\n")
        server.process.terminate()
        log += server.read_until(rb"Drained in .*\n")

        assert server.process.wait(PATIENCE_SECONDS) == 0
    dropped = re.findall(rb"ERROR .*Output dropped stream=stderr lines=(\d+)", log)
    assert log.count(b" 404 request_id=") + sum(map(int, dropped)) == REQUESTS


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_server_whose_log_is_not_read_stops_cleanly(
    tmp_path: Path, database_url: str, workers: str
) -> None:
    settings = {"DATABASE_URL": database_url, "WORKERS": workers}
    with unread([SERVE], tmp_path, **settings) as server:
        log_too_much(server.port("Listening on" if workers == "1" else "workers serve"))
        server.process.terminate()

        assert server.process.wait(PATIENCE_SECONDS) == 0


def test_the_watchdog_ends_a_process_whose_output_is_not_read(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.e2e.server.program", '{"watchdog_after": 0.5}']
    root = Path(__file__).parents[2]
    with unread(command, root) as server, connected(server.port("Listening on")) as connection:
        ask(connection, "/block")
        server.read_until(b"/block\n")
        server.fill()
        server.process.terminate()

        assert server.process.wait(PATIENCE_SECONDS) == 70


@pytest.mark.parametrize(
    ("settings", "code"), [({}, 0), ({"WORKERS": "2"}, 0), ({"LOG_LEVEL": "LOUD"}, 1)]
)
def test_a_server_without_standard_streams_has_its_usual_exit_code(
    tmp_path: Path, database_url: str, settings: dict[str, str], code: int
) -> None:
    port = free_port()
    process = subprocess.Popen(
        ["sh", "-c", f"exec {SERVE} <&- >&- 2>&-"],
        cwd=tmp_path,
        env=environment({"DATABASE_URL": database_url, "PORT": str(port)} | settings),
    )
    try:
        if not code:
            wait_until_answered(port)
            process.terminate()
        assert process.wait(PATIENCE_SECONDS) == code
    finally:
        process.kill()
        process.wait(PATIENCE_SECONDS)


def wait_until_answered(port: int) -> None:
    """Return when the server is ready. It has no output that could say so."""
    deadline = time.monotonic() + 2 * PATIENCE_SECONDS
    while True:
        with suppress(httpx2.TransportError), asking(port) as http:
            assert http.get("/nowhere").status_code == 404
            return
        assert time.monotonic() < deadline
        time.sleep(0.05)

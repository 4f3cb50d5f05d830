"""Ctrl-C on a terminal, where uv and the server both get the signal."""

import os
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.serve import COMMANDS, environment

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminal"),
    pytest.mark.skipif(shutil.which("uv") is None, reason="uv is not installed"),
]


def test_one_ctrl_c_through_uv_stops_the_server_once(database_url: str) -> None:
    with in_terminal("uv", "run", "--no-sync", "serve", DATABASE_URL=database_url) as (
        ours,
        program,
    ):
        output = read_until(ours, "Listening on")
        os.write(ours, b"\x03")
        output += read_until(ours, "Drained in")

        assert program.wait(20) == 0
    assert len(re.findall("Draining:", output)) == 1
    assert "Traceback" not in output


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_server_stops_when_its_terminal_is_closed(database_url: str, workers: str) -> None:
    """It would keep its port for nobody; a reload is asked for in another way."""
    command = [str(COMMANDS / "serve"), "--workers", workers]
    with in_terminal(*command, DATABASE_URL=database_url) as (ours, program):
        read_until(ours, "Listening on" if workers == "1" else "workers serve")

        with open(os.devnull, "rb") as nothing:
            os.dup2(nothing.fileno(), ours)  # Closes what it was.

        assert program.wait(20) == 0


@contextmanager
def in_terminal(*command: str, **settings: str) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Run a command in a terminal of its own; yield our end of that, and the process."""
    import pty

    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment(settings),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=take_terminal,  # noqa: PLW1509 - no thread of ours runs here
    )
    os.close(theirs)
    try:
        yield ours, process
    finally:
        process.kill()
        process.wait(20)
        os.close(ours)


def take_terminal() -> None:
    """Make the new session's standard input its terminal, so that ^C is a signal."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def read_until(terminal: int, text: str) -> str:
    output, deadline = "", time.monotonic() + 30
    while text not in output:
        if not select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise AssertionError(f"{text!r} never came:\n{output}")
        output += os.read(terminal, 65536).decode()
    return output

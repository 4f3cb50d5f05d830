"""A socket that was opened before the server started, as systemd does it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.e2e.serve import COMMANDS, spawn
from tests.e2e.workers.processes import NO_SUCH_PATH, wait_until_serving
from tests.processes import Program

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="There are no descriptors."),
]

# What systemd does between fork and exec; LISTEN_PID is the process that becomes the server.
ACTIVATOR = """
import os, socket, sys
kind, number, *command = sys.argv[1:]
opened = socket.socket(socket.AF_INET, getattr(socket, kind))
opened.bind(("127.0.0.1", 0))
if kind == "SOCK_STREAM":
    opened.listen()
print("activated", opened.getsockname()[1], flush=True)
os.dup2(opened.fileno(), 3)
os.set_inheritable(3, True)
activation = {"LISTEN_FDS": number, "LISTEN_PID": str(os.getpid()), "LISTEN_FDNAMES": "http"}
os.execve(command[0], command, os.environ | activation)
"""


@contextmanager
def activated(
    folder: Path, *arguments: str, kind: str = "SOCK_STREAM", number: str = "1", **settings: str
) -> Iterator[tuple[Program, int]]:
    """Run `serve` with a socket on descriptor 3; yield it and the socket's port."""
    launcher = [sys.executable, "-c", ACTIVATOR, kind, number, str(COMMANDS / "serve")]
    program = spawn([*launcher, *arguments], folder, settings)
    try:
        yield program, int(program.wait_for(r"activated (\d+)")[1])
    finally:
        program.end()


def assert_answers(port: int) -> None:
    for _ in range(10):
        assert httpx2.get(f"http://127.0.0.1:{port}{NO_SUCH_PATH}").status_code == 404


def test_one_server_takes_the_socket_in_the_place_of_its_port(
    tmp_path: Path, database_url: str
) -> None:
    with activated(tmp_path, DATABASE_URL=database_url, PORT="1") as (program, port):
        program.wait_until_listening()
        assert program.port == port
        assert_answers(port)
        program.signal()

        assert program.exit_code() == 0
        assert "Traceback" not in program.output


def test_several_workers_share_the_socket(tmp_path: Path, database_url: str) -> None:
    settings = {"DATABASE_URL": database_url, "PORT": "1"}
    with activated(tmp_path, "--workers", "2", **settings) as (program, port):
        wait_until_serving(program)
        assert program.port == port
        assert_answers(port)
        program.signal()

        assert program.exit_code() == 0
        assert program.output.count(f"Listening on http://127.0.0.1:{port} ") == 2
        assert "Traceback" not in program.output


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"number": "2"}, "LISTEN_FDS=2: the server takes one socket"),
        ({"kind": "SOCK_DGRAM"}, "Descriptor 3 is not a TCP socket"),
    ],
)
def test_what_is_not_one_tcp_socket_is_refused(
    tmp_path: Path, given: dict[str, str], sentence: str
) -> None:
    with activated(tmp_path, DATABASE_URL="postgresql://nobody@db/x", **given) as (program, _):
        assert program.exit_code() == 1
        assert sentence in program.output
        assert "Traceback" not in program.output

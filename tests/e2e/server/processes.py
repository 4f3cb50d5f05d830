"""Starts the test program and talks to it."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse

from tests.processes import PATIENCE_SECONDS, Program


@contextmanager
def started(**options: object) -> Iterator[Program]:
    """Run the program with these `Options`; whatever happens, it is gone afterwards."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.e2e.server.program", json.dumps(options)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    program = Program(process)
    try:
        yield program
    finally:
        program.end()


@contextmanager
def listening(**options: object) -> Iterator[Program]:
    """Run the program and wait until it is ready."""
    with started(**options) as program:
        program.wait_until_listening()
        yield program


@contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as connection:
        yield connection


def ask(connection: socket.socket, path: str) -> None:
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())


def answer_on(connection: socket.socket) -> HTTPResponse:
    response = HTTPResponse(connection, method="GET")
    response.begin()
    return response


def get(port: int, path: str) -> tuple[int, bytes]:
    with connected(port) as connection:
        ask(connection, path)
        response = answer_on(connection)
        return response.status, response.read()


def wait_until_refused(port: int) -> None:
    """Return when nothing listens on the port; there is no event for it outside the process."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
        except ConnectionRefusedError:
            return
        time.sleep(0.01)
    raise AssertionError(f"Port {port} still takes connections.")

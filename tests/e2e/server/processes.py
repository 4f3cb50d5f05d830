"""Starts the test program and talks to it."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse

from tests import processes
from tests.processes import PATIENCE_SECONDS, Program


@contextmanager
def started(**options: object) -> Iterator[Program]:
    """Run the program with these `Options`; whatever happens, it is gone afterwards."""
    with processes.started("tests.e2e.server.program", **options) as program:
        yield program


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
        except TimeoutError:
            continue  # It lets nobody in already, and closes in a moment.
        time.sleep(0.01)
    raise AssertionError(f"Port {port} still takes connections.")

"""Clients that ask all the time, each request counted by how it ended."""

import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException, HTTPResponse
from threading import Event, Thread

PATIENCE_SECONDS = 15.0
REQUEST = b"GET %s HTTP/1.1\r\nHost: localhost\r\nX-User-Id: alice\r\n\r\n"


class Load:
    """`outcomes` has `unanswered` for a request that was sent in vain, `refused` for a connection
    that was not to be had, and else the status; `slowest` is in seconds."""

    def __init__(self, port: int, path: str) -> None:
        self.outcomes: Counter[str] = Counter()
        self.slowest = 0.0
        self.stop = Event()
        self._address = ("127.0.0.1", port)
        self._request = REQUEST % path.encode()

    def ask(self, *, reuse: bool) -> None:
        """Ask until the stop; with `reuse` as long on one connection as the server likes."""
        while not self.stop.is_set():
            try:
                connection = socket.create_connection(self._address, timeout=PATIENCE_SECONDS)
            except ConnectionError:
                self.outcomes["refused"] += 1
                time.sleep(0.01)  # Nothing tells when somebody listens again.
                continue
            with connection:
                while self._answered(connection) and reuse and not self.stop.is_set():
                    pass

    def _answered(self, connection: socket.socket) -> bool:
        """Return whether the connection can be used again."""
        began = time.monotonic()
        outcome, lasts = "unanswered", False
        with suppress(OSError, HTTPException), HTTPResponse(connection, method="GET") as response:
            connection.sendall(self._request)
            response.begin()
            response.read()
            outcome, lasts = str(response.status), not response.will_close
        self.outcomes[outcome] += 1
        self.slowest = max(self.slowest, time.monotonic() - began)
        return lasts


@contextmanager
def load(port: int, path: str, *, lasting: int = 4, single: int = 4) -> Iterator[Load]:
    """Ask with `lasting` clients that keep a connection and `single` that take a new one each."""
    running = Load(port, path)
    threads = [
        Thread(target=running.ask, kwargs={"reuse": number < lasting})
        for number in range(lasting + single)
    ]
    for thread in threads:
        thread.start()
    try:
        yield running
    finally:
        running.stop.set()
        for thread in threads:
            thread.join(PATIENCE_SECONDS)

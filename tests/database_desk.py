"""Where the workers of pytest-xdist ask the controller for the test database.

The controller owns the server, since a worker may end before the others; it starts one only when
a worker asks, since it cannot know before which tests need one.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Client, Connection, Listener
from typing import Protocol

from tests.databases import Databases, NoTestDatabase

CLOSE = "close"


class RunDatabases(Protocol):
    """What a test process asks for; see `tests.databases.Databases`."""

    prefix: str

    def server_url(self) -> str: ...
    def template(self) -> str: ...


class Desk:
    """Answers one question a connection, on a loopback port, to those who have the key."""

    def __init__(self, databases: Databases, key: str) -> None:
        self._answers: dict[str, Callable[[], str]] = {
            "server_url": databases.server_url,
            "template": databases.template,
        }
        self._key = key.encode()
        self._listener = Listener(("127.0.0.1", 0), authkey=self._key)
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def open(self) -> tuple[str, int]:
        """Return the address to ask at."""
        self._thread.start()
        host, port = self._listener.address
        return str(host), int(port)

    def close(self) -> None:
        with Client(self._listener.address, authkey=self._key) as connection:
            connection.send(CLOSE)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while True:
            # A worker that was killed while it asked must not end the desk for the others.
            with suppress(EOFError, OSError), self._listener.accept() as connection:
                question = connection.recv()
                if question == CLOSE:
                    return
                self._answer(connection, question)

    def _answer(self, connection: "Connection[object, str]", question: str) -> None:
        try:
            connection.send(("ok", self._answers[question]()))
        except Exception as error:  # noqa: BLE001  # The worker that asked is who can report it.
            connection.send(("failed", f"{type(error).__name__}: {error}"))


class AskedDatabases:
    """A worker's view of the controller's databases."""

    def __init__(self, address: tuple[str, int], key: str, prefix: str) -> None:
        self.prefix = prefix
        self._address = address
        self._key = key.encode()
        self._known: dict[str, str] = {}

    def server_url(self) -> str:
        return self._ask("server_url")

    def template(self) -> str:
        return self._ask("template")

    def _ask(self, question: str) -> str:
        if question not in self._known:
            with Client(self._address, authkey=self._key) as connection:
                connection.send(question)
                outcome, answer = connection.recv()
            if outcome != "ok":
                raise NoTestDatabase(answer)
            self._known[question] = answer
        return self._known[question]

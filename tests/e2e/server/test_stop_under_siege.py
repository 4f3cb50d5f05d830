"""A stop with everything at once: load, sockets, a long request, stuck peers and a body unread."""

import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import httpx2
import psycopg
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.e2e.hardening.client import connected
from tests.e2e.hardening.server import eventually
from tests.e2e.serve import listening
from tests.e2e.test_serve import create, wait_until_blocked
from tests.e2e.workers.load import load
from tests.e2e.workers.processes import NO_SUCH_PATH, serving
from tests.processes import Program

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="Sends POSIX signals."),
]

Opened = Callable[..., AbstractContextManager[Program]]
SETTINGS = {
    "DATABASE_LOCK_TIMEOUT": "20",
    "SHUTDOWN_REQUESTS_TIMEOUT": "2",
    "SHUTDOWN_SOCKETS_TIMEOUT": "1",
    "SHUTDOWN_STOP_TIMEOUT": "1",
}
GRACE_SECONDS = 4.0
SOCKETS = 20
LARGE_PAGE = b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
PARTIAL = (
    b"POST /api/v1/projects HTTP/1.1\r\nHost: localhost\r\nX-User-Id: alice\r\n"
    b"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
)


class Listener:
    """A socket that is listened to until its end. `ended_at` is a monotonic time."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()
        self.ended_at = 0.0

    def _listen(self) -> None:
        try:
            for _ in self._connection:
                pass
        except ConnectionClosed:
            pass
        self.ended_at = time.monotonic()

    def code(self) -> int | None:
        self._thread.join(GRACE_SECONDS)
        return self._connection.close_code


@contextmanager
def stuck_peers(port: int) -> Iterator[None]:
    """One takes no byte of its answers, one does not answer a close, one does not end its body."""
    with connected(port) as reader, connected(port) as silent, connected(port) as partial:
        reader.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.send(LARGE_PAGE * 20)
        assert silent.upgrade("/api/v1/ws?user=silent").status == 101
        partial.send(PARTIAL)
        yield


@pytest.mark.parametrize("opened", [listening, serving], ids=["one process", "two workers"])
def test_a_stop_answers_all_and_is_on_time_whatever_the_peers_do(
    tmp_path: Path, fresh_database_url: str, opened: Opened
) -> None:
    answers: list[httpx2.Response] = []
    settings = {"DATABASE_URL": fresh_database_url, **SETTINGS}
    with ExitStack() as stack:
        holder = stack.enter_context(psycopg.connect(fresh_database_url))
        program = stack.enter_context(opened(tmp_path, **settings))
        url = f"ws://127.0.0.1:{program.port}/api/v1/ws?user=alice"
        sockets = [Listener(stack.enter_context(connect(url))) for _ in range(SOCKETS)]
        stack.enter_context(stuck_peers(program.port))
        holder.execute("LOCK TABLE projects")
        long = threading.Thread(target=lambda: answers.append(create(program, "Storyboard")))
        long.start()
        wait_until_blocked(fresh_database_url)

        with load(program.port, NO_SUCH_PATH) as clients:
            eventually(lambda: clients.outcomes["404"] > 100)
            began = time.monotonic()
            program.signal(signal.SIGTERM)
            codes = [each.code() for each in sockets]
            code = program.exit_code()
            took = time.monotonic() - began
        long.join(GRACE_SECONDS)

    assert code == 0
    assert took <= GRACE_SECONDS + 1.0
    assert codes == [1012] * SOCKETS
    assert max(each.ended_at for each in sockets) - began < 0.5
    assert clients.outcomes["unanswered"] == 0
    assert [(each.status_code, each.json()["code"]) for each in answers] == [(503, "shutting_down")]
    assert "Traceback" not in program.output

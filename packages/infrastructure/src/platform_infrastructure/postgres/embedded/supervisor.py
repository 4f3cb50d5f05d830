"""The supervisor process of an embedded PostgreSQL; `main` reads an order as JSON.

It starts the server as its child and reports that in one line of JSON on its standard output. It
stops the server when its standard input ends. This happens no matter how the owner ends. A
parent-death signal would do the same, but only on Linux.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Self

from platform_infrastructure.postgres.embedded.cluster import (
    Cluster,
    ClusterError,
    FolderLock,
    Held,
    alive,
)

NOT_DURABLE = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


@dataclass(frozen=True, slots=True)
class Order:
    """The request of the owner: `folder` None means temporary, `port` 0 means any."""

    programs: str
    folder: str | None
    settings: dict[str, str]
    owner: int
    port: int

    def to_json(self) -> str:
        return json.dumps(asdict(self))


def supervise(order: Order) -> None:
    with ExitStack() as leaving:
        folder = _folder(order, leaving)
        lock = leaving.enter_context(FolderLock(folder / "lock"))
        lock.acquire(order.owner)
        cluster = _cluster(order, folder, leaving)
        postmaster = Postmaster(cluster)
        leaving.callback(postmaster.stop)
        postmaster.start(order.port)
        _say({"pid": postmaster.pid, "port": postmaster.port, "password": cluster.password()})
        _wait_for_an_end(postmaster)
        lock.announce_release()


def _folder(order: Order, leaving: ExitStack) -> Path:
    if order.folder is not None:
        folder = Path(order.folder)
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    folder = Path(tempfile.mkdtemp(prefix="platform-postgres-"))
    folder.chmod(0o711)  # The account that runs the server needs access.
    leaving.callback(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _cluster(order: Order, folder: Path, leaving: ExitStack) -> Cluster:
    cluster = Cluster.of(folder, programs=Path(order.programs))
    temporary = order.folder is None
    if temporary:
        leaving.callback(shutil.rmtree, cluster.home, ignore_errors=True)
    cluster.create(durable=not temporary)
    cluster.configure((NOT_DURABLE if temporary else {}) | order.settings)
    return cluster


def _wait_for_an_end(postmaster: "Postmaster") -> None:
    """Return when the owner or the server has ended."""
    ends: SimpleQueue[str] = SimpleQueue()

    def watch_owner() -> None:
        sys.stdin.buffer.read()
        ends.put("owner")

    def watch_server() -> None:
        postmaster.wait()
        ends.put("server")

    for watch in (watch_owner, watch_server):
        threading.Thread(target=watch, daemon=True).start()
    ends.get()


def _say(report: dict[str, object]) -> None:
    """Report to the owner. If it has ended, ignore that: the end of standard input shows it."""
    try:
        sys.stdout.write(json.dumps(report) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        pass


def main() -> None:
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    order = Order(**json.loads(sys.argv[1]))
    try:
        supervise(order)
    except (ClusterError, Held) as error:
        _say({"failed": str(error)})
    except OSError as error:
        _say(
            {"failed": f"PostgreSQL cannot run in {order.folder or 'a temporary folder'}: {error}."}
        )
    except Exception as error:  # noqa: BLE001  # Whatever it was, only the owner can show it.
        _say({"failed": f"PostgreSQL's supervisor failed: {error!r}."})
    # A normal exit would crash, because a thread still reads standard input.
    os._exit(0)


READY_SECONDS = 60.0
PATIENCE_SECONDS = 5.0
START_ATTEMPTS = 5
PAUSE_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Status:
    """What a server says of itself in `postmaster.pid` (its format: miscadmin.h, LOCK_FILE_LINE_*)."""

    pid: int
    port: int
    ready: bool

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Return None when there is no server, or none that has said enough yet."""
        try:
            lines = path.read_text().splitlines()
            return cls(int(lines[0]), int(lines[3]), lines[7].strip() == "ready")
        except (OSError, IndexError, ValueError):
            return None


class Postmaster:
    """A direct child, except on Windows: there only pg_ctl sheds an administrator's rights."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._child: subprocess.Popen[bytes] | None = None
        self.pid = 0
        self.port = 0

    def start(self, port: int) -> None:
        """Return when it accepts connections, on `port` if that is free; or raise `ClusterError`.

        A start is repeated, because somebody may take the port first and because the processes of
        a server that was killed may need a moment to let go of its memory.
        """
        self._clear_remains()
        for _ in range(START_ATTEMPTS):
            self.port = _free_port(port)
            if self._started():
                return
            time.sleep(PAUSE_SECONDS)
        raise ClusterError(f"PostgreSQL did not start: {self._cluster.last_words()}")

    def wait(self) -> None:
        """Return when the server has ended by itself."""
        if self._child is not None:
            self._child.wait()
            return
        while self._status() is not None:
            time.sleep(1)

    def stop(self) -> None:
        if self._child is None:
            if self.pid:
                self._pg_ctl_stop()
            return
        _wake(self._child)
        for sign in _ever_less_gentle():
            if self._child.poll() is not None:
                return
            self._child.send_signal(sign)
            try:
                self._child.wait(PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                continue

    def _clear_remains(self) -> None:
        """Stop a server that outlived its supervisor, or forget one that is dead.

        We hold the folder's lock, so whatever runs here is ours. PostgreSQL recognises a dead
        server itself unless another process has got its number since, as in containers.
        """
        status = self._status()
        if status is None:
            return
        if _listening(status.port):
            self._pg_ctl_stop()
        elif sys.platform != "win32" and alive(status.pid):
            (self._cluster.data / "postmaster.pid").unlink()

    def _started(self) -> bool:
        self._launch()
        give_up = time.monotonic() + READY_SECONDS
        while time.monotonic() < give_up:
            if self._ready():
                return True
            if self._child is not None and self._child.poll() is not None:
                return False
            time.sleep(0.01)
        self.stop()
        return False

    def _ready(self) -> bool:
        """A file that a killed server left may say ready as well, so it has to be this server's."""
        status = self._status()
        if status is None or not status.ready or status.port != self.port:
            return False
        self.pid = status.pid
        return self._child is None or self._child.pid == status.pid

    def _launch(self) -> None:
        data = self._cluster.data
        options = f"-p {self.port} -h 127.0.0.1 -c unix_socket_directories="
        if sys.platform == "win32":
            self._cluster.run("pg_ctl", "start", "-W", "-D", data, "-o", options, timeout=60)
        else:
            self._child = self._cluster.spawn("postgres", "-D", data, *options.split())

    def _pg_ctl_stop(self) -> None:
        stop = ("stop", "-w", "-t", str(int(PATIENCE_SECONDS)), "-D", self._cluster.data)
        for mode in ("fast", "immediate"):
            if self._cluster.run("pg_ctl", *stop, "-m", mode, timeout=60) == 0:
                return

    def _status(self) -> Status | None:
        return Status.read(self._cluster.data / "postmaster.pid")


def _free_port(wanted: int) -> int:
    """Return `wanted` if it is free, else any free one (0 asks for any)."""
    with socket.socket() as probe:
        # What PostgreSQL sets itself: a port of connections that have just ended counts as free.
        if sys.platform != "win32":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            if wanted == 0:
                raise
            return _free_port(0)
        port: int = probe.getsockname()[1]
        return port


def _listening(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=0.5).close()
    except OSError:
        return False
    return True


def _ever_less_gentle() -> Iterator[signal.Signals]:
    """Fast, immediate (no checkpoint), and what nobody can ignore."""
    yield signal.SIGINT
    if sys.platform != "win32":
        yield signal.SIGQUIT
        yield signal.SIGKILL


def _wake(server: subprocess.Popen[bytes]) -> None:
    """Continue a server that somebody halted with SIGSTOP, as failure tests do: else it cannot end.

    Its sessions are found on Linux only.
    """
    if sys.platform == "win32" or server.poll() is not None:
        return
    sessions = Path(f"/proc/{server.pid}/task/{server.pid}/children")
    pids = sessions.read_text().split() if sessions.exists() else []
    for pid in (server.pid, *map(int, pids)):
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            continue

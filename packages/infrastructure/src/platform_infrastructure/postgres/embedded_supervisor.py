"""The process between an owner and its embedded PostgreSQL: `python -m … <order as JSON>`.

It starts the server as its own child, says so in one line of JSON on its standard output, and
ends the server when its standard input ends, which happens whatever became of the owner. A signal
at parent's death would do the same on Linux only.
"""

import json
import os
import shutil
import signal
import sys
import tempfile
import threading
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import SimpleQueue

from platform_infrastructure.postgres.embedded_cluster import Cluster, ClusterError
from platform_infrastructure.postgres.embedded_lock import FolderLock, Held
from platform_infrastructure.postgres.embedded_postmaster import Postmaster

NOT_DURABLE = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


@dataclass(frozen=True, slots=True)
class Order:
    """What the owner wants: `folder` None means temporary, `port` 0 means any."""

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
    folder.chmod(0o711)  # The account that runs the server has to get in.
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


def _wait_for_an_end(postmaster: Postmaster) -> None:
    """Return when the owner is gone or the server is."""
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
    """An owner that is gone already is no news here: the end of standard input tells it as well."""
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
    # The thread that still reads standard input would crash the interpreter's own way out.
    os._exit(0)


if __name__ == "__main__":
    main()

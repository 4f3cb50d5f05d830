"""The command `serve`, as a story: settings, log, database, server, exit code.

Heavy modules are imported where they are needed, so that `serve --help` answers at once.
"""

import argparse
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from socket import socket

    from platform_api.container import Container
    from platform_api.server.inherited import Inherited
    from platform_config import Loaded, Settings

PROGRAM = (sys.executable, "-P", "-c", f"from {__name__} import main; main()")
CHILD = (*PROGRAM, "--child")
WORKER = (*PROGRAM, "--worker")
EMBEDDED_FOLDER = Path(".dev/postgres")
FAILED = 1
STOPPED = 0


def main() -> None:
    from platform_api.server.signals import ignore_user_signals
    from platform_api.server.standard_streams import install

    ignore_user_signals()
    # Until the server handles the signals itself. A KeyboardInterrupt would print a traceback, and
    # an import might swallow it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    install()
    parser = argparse.ArgumentParser(prog="serve", description="Run the platform's server.")
    parser.add_argument("--version", action="version", version=_version())
    parser.add_argument(
        "--reload", action="store_true", help="development: restart when code or settings change"
    )
    parser.add_argument(
        "--workers", metavar="N", help="processes that serve; goes before the setting WORKERS"
    )
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.workers and arguments.reload:
        parser.error("--reload has one process that serves")
    if arguments.workers:
        os.environ["WORKERS"] = arguments.workers
    if arguments.reload:
        sys.exit(reload())
    if arguments.worker:
        sys.exit(work())
    sys.exit(serve(lent=_lent_url() if arguments.child else None))


def _version() -> str:
    from importlib.metadata import version

    return version("platform-api")


def reload() -> int:
    """Run `serve` in a child process, again after each change, and return the exit code."""
    from loguru import logger

    from platform_api.reload import Reloader
    from platform_domain.startup import StartupError

    _open_log("INFO", "pretty")
    try:
        Reloader(CHILD, _embedded_database()).run()
    except StartupError as error:
        logger.error("The server cannot start. {}", error)
        return FAILED
    return STOPPED


def work() -> int:
    """Load the code, wait for work, and run as one of several workers. Returns the exit code."""
    from socket import socket

    # What takes most of a start's time.
    import uvloop  # noqa: F401

    import platform_api.container  # noqa: F401
    import platform_infrastructure.logging  # noqa: F401
    from platform_api.server.workers.orders import Orders

    ordered = Orders(socket(fileno=sys.stdin.fileno())).work()
    if ordered is None:
        return STOPPED
    assignment, inherited = ordered
    return serve(lent=assignment.lent, inherited=inherited)


def _lent_url() -> str:
    from platform_api.server.parent import first_line

    return first_line()


def serve(*, lent: str | None = None, inherited: "Inherited | None" = None) -> int:
    """Run until told to stop and return the exit code.

    A process that has a parent of ours is `lent` the URL of a database, or an empty string, for
    the case that the settings name none.
    """
    from platform_api.server.inherited import NOTHING
    from platform_config import ConfigurationError, load

    try:
        loaded = load()
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        return FAILED
    return _serve(loaded, lent, inherited or NOTHING)


def _serve(loaded: "Loaded", lent: str | None, inherited: "Inherited") -> int:
    from loguru import logger

    from platform_domain.startup import StartupError

    log = loaded.settings.log
    _open_log(log.level, log.format_in(loaded.settings.environment))
    if inherited.worker is None:
        _announce(loaded)
    else:
        logger.configure(extra={"worker": inherited.worker})
    try:
        if lent is None:
            return _start(loaded.settings)
        return _run(loaded.settings, lent, inherited)
    except StartupError as error:
        logger.error("The server cannot start. {}", error)
        return FAILED


def _open_log(level: str, format: str) -> None:
    from platform_api.server.stacks import log_on_signal
    from platform_api.server.standard_streams import drain_before_the_log_ends
    from platform_infrastructure.logging import configure

    configure(level, format)
    drain_before_the_log_ends()
    log_on_signal()


def _announce(loaded: "Loaded") -> None:
    from loguru import logger

    environment = loaded.settings.environment
    logger.info("Platform {} starts in {}.", _version(), environment)
    for warning in loaded.warnings:
        logger.warning("{}", warning)


def _start(settings: "Settings") -> int:
    from platform_api.server.inherited import Inherited, early
    from platform_api.server.socket_activation import activated_socket

    activated = activated_socket(os.environ)
    if settings.server.workers == 1:
        public = early(activated) if activated else None
        return _run(settings, "", Inherited(public=public, public_stays=activated is not None))
    return _supervise(settings, activated)


def _supervise(settings: "Settings", activated: "socket | None") -> int:
    from platform_api.server.workers.addresses import Addresses
    from platform_api.server.workers.supervisor import Supervisor

    with Addresses(settings.server, activated) as addresses, database(settings) as lent:
        supervisor = Supervisor(
            WORKER,
            addresses,
            settings.shutdown,
            stall_timeout=settings.server.worker_stall_timeout,
            lent=lent,
        )
        return int(supervisor.run())


def _run(settings: "Settings", lent: str, inherited: "Inherited") -> int:
    from dataclasses import replace

    from platform_api.server.inherited import sockets

    # Bind the ports first, to report one that is in use before PostgreSQL is started.
    with (
        sockets(inherited, settings.server) as (public, admin),
        nullcontext(lent) if lent else database(settings) as url,
    ):
        from platform_api.container import Container

        container = Container(
            settings=using(settings, url),
            inherited=replace(inherited, public=public, admin=admin),
        )
        if not inherited.worker:
            _warn_of_unlisted(container)
        return int(container.server().run())


def _warn_of_unlisted(container: "Container") -> None:
    """Run once per start: by the only process, or by the first of several workers."""
    from loguru import logger

    from platform_api.unlisted import unlisted

    for sentence in unlisted(container.features()):
        logger.warning("A feature is not served", problem=sentence)


def using(settings: "Settings", url: str) -> "Settings":
    if settings.database.url is not None:
        return settings
    from pydantic import SecretStr

    database = settings.database.model_copy(update={"url": SecretStr(url)})
    return settings.model_copy(update={"database": database})


@contextmanager
def database(settings: "Settings") -> Iterator[str]:
    """In development, without a DATABASE_URL, start a PostgreSQL and yield its URL."""
    if settings.database.url is not None:
        yield ""
        return
    with _embedded_database() as url:
        yield url


@contextmanager
def _embedded_database() -> Iterator[str]:
    from loguru import logger

    from platform_infrastructure.postgres.embedded import EmbeddedPostgres

    started = time.perf_counter()
    with EmbeddedPostgres(EMBEDDED_FOLDER) as embedded:
        seconds = time.perf_counter() - started
        logger.info(
            "Started a PostgreSQL of our own, kept in {} ({:.2f} s). Set DATABASE_URL for another.",
            EMBEDDED_FOLDER,
            seconds,
        )
        yield embedded.url

"""The command `serve`, as a story: settings, log, database, server, exit code.

Heavy modules are imported where they are needed, so that `serve --help` answers at once.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from platform_config import Loaded, Settings

EMBEDDED_FOLDER = Path(".dev/postgres")
FAILED = 1
STOPPED = 0


def main() -> None:
    parser = argparse.ArgumentParser(prog="serve", description="Run the platform's server.")
    parser.add_argument("--version", action="version", version=version("platform-api"))
    parser.parse_args()
    sys.exit(serve())


def serve() -> int:
    """Run until told to stop and return the exit code."""
    from platform_config import ConfigurationError, load

    try:
        loaded = load()
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        return FAILED
    try:
        return _serve(loaded)
    except KeyboardInterrupt:  # Before the server took over the signals.
        return STOPPED


def _serve(loaded: "Loaded") -> int:
    from loguru import logger

    from platform_api.container import Container
    from platform_config import LogFormat
    from platform_domain.startup import StartupError
    from platform_infrastructure.logging import configure

    settings = loaded.settings
    as_json = settings.log.format_in(settings.environment) is LogFormat.JSON
    configure(settings.log.level, "json" if as_json else "pretty")
    logger.info("Platform {} starts in {}.", version("platform-api"), settings.environment)
    for warning in loaded.warnings:
        logger.warning("{}", warning)
    try:
        with _database(settings) as settings_with_url:
            return int(Container(settings=settings_with_url).server().run())
    except StartupError as error:
        logger.error("The server cannot start. {}", error)
        return FAILED


@contextmanager
def _database(settings: "Settings") -> Iterator["Settings"]:
    """In development, start a PostgreSQL when no DATABASE_URL names one."""
    if settings.database.url is not None:
        yield settings
        return
    from loguru import logger
    from pydantic import SecretStr

    from platform_infrastructure.postgres.embedded import EmbeddedPostgres

    started = time.perf_counter()
    with EmbeddedPostgres(EMBEDDED_FOLDER) as embedded:
        seconds = time.perf_counter() - started
        logger.info(
            "Started a PostgreSQL of our own, kept in {} ({:.2f} s). Set DATABASE_URL for another.",
            EMBEDDED_FOLDER,
            seconds,
        )
        database = settings.database.model_copy(update={"url": SecretStr(embedded.url)})
        yield settings.model_copy(update={"database": database})

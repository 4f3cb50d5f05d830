"""The database of `platform check` and `platform reset`: the one that `serve` uses here."""

import sys

from platform_api.cli.interruptible import interruptible
from platform_api.serve import EMBEDDED_FOLDER, database, using
from platform_config import ConfigurationError, Loaded, Settings, load
from platform_config.settings import is_loopback
from platform_domain.startup import StartupError
from platform_infrastructure.postgres.connect import place
from platform_infrastructure.postgres.migrations import refuse
from platform_infrastructure.postgres.parameters import direct_url, parsed
from platform_infrastructure.postgres.rebuild import rebuild
from platform_infrastructure.postgres.start import changed_files


class ResetRefused(StartupError):
    """The database may hold important data, so it is not reset."""


def require_development(loaded: Loaded) -> None:
    """Raise `ResetRefused` in production, or for another machine when APP_ENV is not set."""
    settings = loaded.settings
    if not settings.development:
        raise ResetRefused("`platform reset` is for development. Nothing was changed.")
    if settings.database.url is None or loaded.origins["APP_ENV"] != "default":
        return
    host = parsed(direct_url(settings.database)).get("host") or "localhost"
    if not host.startswith("/") and not is_loopback(host):
        raise ResetRefused(
            f"{place(settings.database)} is on another machine. Set APP_ENV=development to say"
            " that it is a development database. Nothing was changed."
        )


def described(settings: Settings) -> str:
    """Return a description of the database for use in messages."""
    if settings.database.url is None:
        return f"the PostgreSQL in {EMBEDDED_FOLDER}"
    return f"the database {place(settings.database)}"


def reset_database(settings: Settings) -> list[str]:
    """Rebuild the database and return the names of its migrations. Raises `StartupError`."""
    with database(settings) as url:
        return interruptible(rebuild(using(settings, url).database))


def require_unchanged_migrations() -> None:
    """Raise `StartupError` for migration files that were changed after they were applied here.

    If there is a database but it cannot be queried, print that to standard error.
    """
    try:
        names = _changed(load().settings)
    except (ConfigurationError, StartupError) as error:
        print(f"Applied migrations were not compared: {error}", file=sys.stderr)
        return
    if names:
        refuse(names)


def _changed(settings: Settings) -> list[str]:
    if settings.database.url is None and not EMBEDDED_FOLDER.exists():
        return []
    with database(settings) as url:
        return interruptible(changed_files(using(settings, url).database))

"""The commands, each a few lines over a module that does the work."""

import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from platform_api.cli.committed import differences, write_all
from platform_api.cli.interruptible import interruptible
from platform_api.cli.queries import QueriesInvalid, query_differences, write_queries
from platform_api.cli.schema import (
    described,
    require_development,
    require_unchanged_migrations,
    reset_database,
)
from platform_api.cli.show import DatabaseOption, show
from platform_api.cli.unconnected import unconnected_container
from platform_api.unlisted import unlisted
from platform_config import ConfigurationError, DatabaseSettings, Loaded, load
from platform_infrastructure.logging import configure
from platform_infrastructure.postgres.connect import wait_for_database
from platform_infrastructure.postgres.start import migrated

OfflineOption = Annotated[
    bool, typer.Option("--offline", help="compare only: start no database to verify queries")
]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Look after a platform: its schema, its committed files, its settings.",
)
app.add_typer(show, name="show")


@app.command("migrate")
def migrate_database() -> None:
    """Bring the schema of DATABASE_URL up to date."""
    settings = _settings().settings
    if settings.database.url is None:
        _fail("DATABASE_URL is not set; `serve` migrates the embedded database by itself.")
    _show_applied(interruptible(_migrated(settings.database, development=settings.development)))


@app.command()
def reset(
    *,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask before all data is lost")] = False,
) -> None:
    """Drop the development database and rebuild it with all migrations."""
    loaded = _settings()
    require_development(loaded)
    _confirm(f"All data in {described(loaded.settings)} will be lost. Go on?", yes=yes)
    _show_applied(reset_database(loaded.settings))


@app.command()
def check(database: DatabaseOption = None, *, offline: OfflineOption = False) -> None:
    """Fail when a committed file does not match the code, a query is wrong, or a feature is not
    listed."""
    if unserved := unlisted(unconnected_container().features()):
        _fail("\n".join(unserved))
    found = differences()
    try:
        found += query_differences(database, offline=offline)
    except QueriesInvalid as error:
        _fail("\n".join([*found, str(error)]))
    for difference in found:
        print(difference, file=sys.stderr)
    if found:
        _fail("Run `uv run platform generate` and commit the result.")
    if not offline:
        require_unchanged_migrations()
    print("All committed files match the code.")


@app.command()
def generate() -> None:
    """Write the committed files that follow from the code, once every query is verified."""
    try:
        written = write_all() + write_queries()
    except QueriesInvalid as error:
        _fail(str(error))
    for path in written:
        print(f"wrote {path}")


async def _migrated(settings: DatabaseSettings, *, development: bool) -> list[str]:
    await wait_for_database(settings)
    return await migrated(settings, development=development)


def _show_applied(names: Sequence[str]) -> None:
    for name in names:
        print(f"applied {name}")
    print("The schema is up to date.")


def _confirm(question: str, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        _fail("There is no terminal to ask at: --yes says that the data may be lost.")
    if not typer.confirm(question):
        _fail("Nothing was changed.")


def _settings() -> Loaded:
    try:
        loaded = load()
    except ConfigurationError as error:
        _fail(str(error))
    configure(loaded.settings.log.level, loaded.settings.log.format_in(loaded.settings.environment))
    return loaded


def _fail(text: str) -> NoReturn:
    print(text, file=sys.stderr)
    raise typer.Exit(1)

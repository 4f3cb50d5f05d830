"""The commands, each a few lines over a module that does the work."""

import asyncio
import sys
from typing import Annotated, NoReturn

import typer

from platform_api.cli.committed import differences, write_all
from platform_api.cli.drill.command import drill
from platform_api.cli.queries import QueriesInvalid, query_differences, write_queries
from platform_api.cli.show import DatabaseOption, show
from platform_api.cli.unconnected import unconnected_container
from platform_api.unlisted import unlisted
from platform_config import ConfigurationError, DatabaseSettings, Loaded, load
from platform_domain.startup import StartupError
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
app.add_typer(drill, name="drill")


@app.command("migrate")
def migrate_database() -> None:
    """Bring the schema of DATABASE_URL up to date."""
    settings = _settings().settings.database
    if settings.url is None:
        _fail("DATABASE_URL is not set; `serve` migrates the embedded database by itself.")
    try:
        names = asyncio.run(_migrated(settings))
    except StartupError as error:
        _fail(str(error))
    for name in names:
        print(f"applied {name}")
    print("The schema is up to date.")


@app.command()
def check(database: DatabaseOption = None, *, offline: OfflineOption = False) -> None:
    """Fail when a committed file is not what the code says it should be, a query is wrong, or a
    feature is not listed."""
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


async def _migrated(settings: DatabaseSettings) -> list[str]:
    await wait_for_database(settings)
    return await migrated(settings)


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

"""The commands, each a few lines over a module that does the work."""

import asyncio
import sys
from typing import NoReturn

import typer

from platform_api.cli.committed import differences, write_all
from platform_api.cli.show import show
from platform_config import ConfigurationError, DatabaseSettings, Loaded, load
from platform_domain.startup import StartupError
from platform_infrastructure.postgres.connect import wait_for_database
from platform_infrastructure.postgres.migrations import MigrationInvalid, migrate
from platform_infrastructure.postgres.pool import database_url

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
    settings = _settings().settings.database
    if settings.url is None:
        _fail("DATABASE_URL is not set; `serve` migrates the embedded database by itself.")
    try:
        names = asyncio.run(_migrated(settings))
    except (StartupError, MigrationInvalid) as error:
        _fail(str(error))
    for name in names:
        print(f"applied {name}")
    print("The schema is up to date.")


@app.command()
def check() -> None:
    """Fail when a committed file is not what the code says it should be."""
    found = differences()
    for difference in found:
        print(difference, file=sys.stderr)
    if found:
        _fail("Run `uv run platform generate` and commit the result.")
    print("All committed files match the code.")


@app.command()
def generate() -> None:
    """Write the committed files that follow from the code."""
    for path in write_all():
        print(f"wrote {path}")


async def _migrated(settings: DatabaseSettings) -> list[str]:
    await wait_for_database(settings)
    return await migrate(database_url(settings))


def _settings() -> Loaded:
    try:
        return load()
    except ConfigurationError as error:
        _fail(str(error))


def _fail(text: str) -> NoReturn:
    print(text, file=sys.stderr)
    raise typer.Exit(1)

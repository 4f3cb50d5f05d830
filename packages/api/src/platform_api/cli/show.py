"""`platform show …`: what is there, as the code sees it."""

import inspect
import sys
from collections.abc import Iterable, Sequence
from typing import Annotated

import typer

from platform_api.app import layers
from platform_api.cli.queries import query_lines
from platform_api.cli.unconnected import unconnected_container
from platform_api.errors import status_of
from platform_api.operation import PREFIX
from platform_config import ConfigurationError, explain, load
from platform_domain.errors import DomainError

show = typer.Typer(no_args_is_help=True, help="Show what is there.")

DatabaseOption = Annotated[
    str | None,
    typer.Option(help="URL of a migrated PostgreSQL to verify queries against, 16 or later"),
]


@show.command()
def routes() -> None:
    """List all operations."""
    _table(
        (operation.method, PREFIX + operation.path, _summary(operation.handler))
        for feature in unconnected_container().features()
        for operation in feature.operations()
    )


@show.command()
def middleware() -> None:
    """List what a request passes before its operation, outermost first."""
    container = unconnected_container()
    stack = layers(
        container.settings(), container.lifecycle(), container.readings(), container.capacity()
    )
    _table((str(getattr(layer.cls, "__name__", layer.cls)), _summary(layer.cls)) for layer in stack)


@show.command()
def errors() -> None:
    """List every error with its status and code."""
    unconnected_container().features()
    _table(
        (str(int(status_of(error))), error.code, error.message)
        for error in sorted(_errors(DomainError), key=lambda e: (status_of(e), e.code))
    )


@show.command()
def config() -> None:
    """List every setting with its value in force and where that came from."""
    try:
        loaded = load()
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from None
    _table((row.name, row.value, row.origin) for row in explain(loaded))


@show.command()
def query(name: str, database: DatabaseOption = None) -> None:
    """Show what is known about the query NAME, and how PostgreSQL would run it."""
    for line in query_lines(name, database):
        print(line)


def _errors(kind: type[DomainError]) -> set[type[DomainError]]:
    return {error for child in kind.__subclasses__() for error in {child} | _errors(child)}


def _summary(described: object) -> str:
    return (inspect.getdoc(described) or "").partition("\n")[0]


def _table(rows: Iterable[Sequence[str]]) -> None:
    all_rows = list(rows)
    widths = [max(len(cell) for cell in column) for column in zip(*all_rows, strict=True)]
    for row in all_rows:
        padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(padded).rstrip())

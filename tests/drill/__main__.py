"""`uv run python -m tests.drill database`: about two minutes, Linux only."""

import argparse
import asyncio
import sys
import time

from platform_infrastructure.logging import configure
from tests.drill import database
from tests.drill.findings import as_text


def main(arguments: list[str] | None = None) -> int:
    """Print a row for each fault. Return 0 when everything holds, else 1."""
    parser = argparse.ArgumentParser(prog="tests.drill", description=__doc__)
    parser.add_argument("subject", choices=["database"])
    parser.parse_args(arguments)
    configure("ERROR", "pretty")
    return 0 if asyncio.run(_all_hold()) else 1


async def _all_hold() -> bool:
    began, number, holds = time.monotonic(), 0, True
    async for row in database.rows():
        number += 1
        seconds = time.monotonic() - began
        print(f"[{number}/{database.FAULTS}, {seconds:.0f} s] {as_text(row)}", flush=True)
        holds = holds and row.holds
    print("Everything holds." if holds else "Not everything holds: see the lines with >>>.")
    return holds


if __name__ == "__main__":
    sys.exit(main())

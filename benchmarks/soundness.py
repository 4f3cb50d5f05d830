"""Looks for a NULL in columns that verification calls NOT NULL, in random schemas and queries.

```
uv run python -m benchmarks.soundness --queries 100000 --seed 7
```

It is `tests/queries/test_soundness.py` at length. Exit code 1: one was found.
"""

import argparse
import asyncio
import sys
import time

from tests.queries.soundness import run

from platform_infrastructure.postgres.embedded import EmbeddedPostgres


def main() -> int:
    parser = argparse.ArgumentParser(description="Look for a NULL where there can be none.")
    parser.add_argument("--queries", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    started = time.perf_counter()
    with EmbeddedPostgres(None) as embedded:
        tally = asyncio.run(run(embedded.url, arguments.seed, arguments.queries))
    print(*tally.wrong, sep="\n")
    print(dict(tally.counts.most_common()), f"{time.perf_counter() - started:.0f} s")
    print(f"{tally.counts['run']} queries, {len(tally.wrong)} wrong")
    return bool(tally.wrong)


if __name__ == "__main__":
    sys.exit(main())

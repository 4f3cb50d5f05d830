"""The realtime layer in simulated worlds: a few hundred of them at each run of the tests.

`SIMULATION_SEEDS=1000:6000 uv run pytest tests/api/realtime/simulation/test_simulation.py` looks
at others, and `SIMULATION_SEEDS=17` lives through one again, exactly as it failed.
"""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tests.api.realtime.simulation.world import STANDARD_SEEDS, simulate

ROOT = Path(__file__).parents[4]
HAPPENS = {
    *("event", "done", "pong", "reset", "dropped", "goodbye", "unsubscribed"),
    *("recovered True", "recovered False", "recovered None"),
    *("error unavailable", "error too_many_messages", "error topic_forbidden"),
    "error validation_failed",
    *("close 1012", "close 4413", "close 4429"),
}
TRACES = """
from loguru import logger
from tests.api.realtime.simulation.world import simulate
logger.remove()
print([simulate(seed).trace for seed in range(3)])
"""


def asked_seeds() -> range:
    first, _, end = os.environ.get("SIMULATION_SEEDS", "").partition(":")
    if not first:
        return STANDARD_SEEDS
    return range(int(first), int(end or int(first) + 1))


def test_every_promise_holds_in_every_world(quiet: None) -> None:
    seen: Counter[str] = Counter()
    for seed in asked_seeds():
        seen += simulate(seed).journal.seen

    if asked_seeds() == STANDARD_SEEDS:
        assert seen.keys() >= HAPPENS, "the worlds are too peaceful to say anything"


def test_the_same_seed_is_the_same_world_in_another_process(quiet: None) -> None:
    here = [simulate(seed).trace for seed in range(3)]

    there = subprocess.run(
        [sys.executable, "-c", TRACES], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert there.stdout.strip() == str(here)
    assert len(set(here)) == 3

"""Mistakes that the simulation must find: a test of the test."""

import pytest

from tests.api.realtime.simulation.faults import FAULTS, Fault
from tests.api.realtime.simulation.journal import Violation
from tests.api.realtime.simulation.world import STANDARD_SEEDS, simulate


def live_through_all() -> None:
    for seed in STANDARD_SEEDS:
        simulate(seed)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_planted_fault_is_found(
    fault: Fault, quiet: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault(monkeypatch)

    with pytest.raises(Violation):
        live_through_all()

"""These tests count another process's memory and descriptors."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def proc() -> None:
    if not Path("/proc/self/fd").exists():
        pytest.skip("Looks into /proc.")

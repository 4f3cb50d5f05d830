from collections.abc import Iterator

import pytest
from loguru import logger


@pytest.fixture
def quiet() -> Iterator[None]:
    """Worlds that go wrong log a lot, and nobody reads it."""
    logger.disable("platform_api")
    yield
    logger.enable("platform_api")

"""Where nodes of each engine meet: on servers that the whole run shares."""

from collections.abc import Iterator

import pytest

from tests.infrastructure.events.nodes import MemorySite, PostgresSite, Site, ValkeySite
from tests.infrastructure.events.valkeys import TestValkey, started_valkey


@pytest.fixture(scope="session")
def shared_valkey() -> Iterator[TestValkey]:
    with started_valkey() as valkey:
        yield valkey


@pytest.fixture
def valkey(shared_valkey: TestValkey) -> TestValkey:
    """A server with nothing on it. Not for tests that kill it."""
    shared_valkey.ask("FLUSHALL")
    return shared_valkey


@pytest.fixture(params=["memory", "postgres", "valkey"])
def site(request: pytest.FixtureRequest, database_url: str) -> Site:
    match request.param:
        case "memory":
            return MemorySite(database_url)
        case "postgres":
            return PostgresSite(database_url)
        case _:
            return ValkeySite(database_url, request.getfixturevalue("valkey").url)

import pytest

from platform_config import EventsEngine, load
from tests.config.reading import only_problem

VALKEY = {"VALKEY_URL": "valkey://app:hunter2@localhost:6379/0"}


@pytest.mark.parametrize(
    ("environ", "engine"),
    [
        ({}, EventsEngine.MEMORY),
        ({"WORKERS": "2"}, EventsEngine.POSTGRES),
        (VALKEY, EventsEngine.VALKEY),
        (VALKEY | {"WORKERS": "2"}, EventsEngine.VALKEY),
        (VALKEY | {"EVENTS_ENGINE": "memory"}, EventsEngine.MEMORY),
        ({"EVENTS_ENGINE": "postgres"}, EventsEngine.POSTGRES),
    ],
)
def test_the_engine_follows_from_what_there_is(
    environ: dict[str, str], engine: EventsEngine
) -> None:
    assert load(environ, None).settings.events_engine is engine


def test_memory_cannot_serve_several_workers() -> None:
    problem = only_problem({"EVENTS_ENGINE": "memory", "WORKERS": "2"})

    assert problem.name == "EVENTS_ENGINE"
    assert 'EVENTS_ENGINE="memory" with WORKERS="2"' in problem.found
    assert "events in memory stay in their own" in problem.expected


def test_valkey_needs_an_address() -> None:
    problem = only_problem({"EVENTS_ENGINE": "valkey"})

    assert problem.name == "EVENTS_ENGINE"
    assert "VALKEY_URL=valkey://" in problem.fix


@pytest.mark.parametrize(
    "url",
    [
        "valkey://localhost",
        "valkeys://app:p%40ss@valkey.example.com:6380/3",
        "redis://[::1]:6379",
        "rediss://:hunter2@10.0.0.1/",
    ],
)
def test_addresses_that_the_client_takes_are_taken(url: str) -> None:
    assert load({"VALKEY_URL": url}, None).settings.events_engine is EventsEngine.VALKEY


@pytest.mark.parametrize(
    "url",
    [
        "localhost:6379",
        "http://app:hunter2@localhost",
        "valkey://",
        "valkey://app:hunter2@localhost:port",
        "valkey://app:hunter2@localhost/first",
        "valkey://app:hunter2@[::1",
        "valkey://app:hun@hunter2@localhost",
        "valkey://app:hunter2%@localhost",
        "valkey://app:hunter2@localhost/²",
    ],
)
def test_other_addresses_are_refused_without_showing_the_password(url: str) -> None:
    problem = only_problem({"VALKEY_URL": url})

    assert problem.name == "VALKEY_URL"
    assert "valkey://user:password@host:port/0" in problem.expected
    assert "hunter2" not in str(problem)

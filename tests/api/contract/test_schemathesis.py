"""A machine that reads the contract and tries to prove it wrong (https://schemathesis.io)."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from platform_api.contract.pages import PATH
from platform_config import HttpSettings
from platform_domain.errors import Unauthenticated
from platform_domain.identity import Authenticator, Credentials, Identity, UserId
from tests.api.conftest import World
from tests.api.contract.cases import all_cases
from tests.api.contract.documented import operations_in
from tests.fakes import InMemoryIdempotencyKeys

CONFIG = {
    "seed": 1,
    "headers": {"X-User-Id": "alice"},
    "generation": {"deterministic": True, "max-examples": 50, "database": "none"},
}


class OnlyAlice(Authenticator):
    """Knows one user: an invented one must be refused, as the contract says."""

    async def authenticate(self, credentials: Credentials) -> Identity:
        if credentials.headers.get("x-user-id") != "alice":
            raise Unauthenticated
        return Identity(UserId("alice"))


def without_defaults(document: dict[str, Any]) -> None:
    """Let a status that the contract does not name be a failure."""
    for operation in operations_in(document).values():
        del operation["responses"]["default"]


def failures(world: World) -> Iterator[str]:
    """Run everything schemathesis has: examples, borders, random values, chains of calls."""
    # Loading it takes longer than all other tests of this folder.
    from schemathesis import engine, openapi
    from schemathesis.config import SchemathesisConfig
    from schemathesis.engine import events

    schema = openapi.from_asgi(PATH, world.app(), config=SchemathesisConfig.from_dict(CONFIG))
    for cases in all_cases():
        cases.narrow(schema.raw_schema)
    without_defaults(schema.raw_schema)
    checks = 0
    for event in engine.from_schema(schema).execute():
        if isinstance(event, events.NonFatalError | events.FatalError):
            yield str(event)
        if isinstance(event, events.ScenarioFinished):
            for check in (c for of_case in event.recorder.checks.values() for c in of_case):
                checks += 1
                if check.failure_info is not None:
                    yield f"{check.name}: {event.label}: {check.failure_info.failure}"
    assert checks > 1000


@pytest.mark.slow
def test_no_request_proves_the_contract_wrong(world: World) -> None:
    world.authenticator = OnlyAlice()
    # No schema can say that a key must not come back with another body: here it always may.
    world.keys = InMemoryIdempotencyKeys(kept_for=timedelta(0))
    world.settings = world.settings.model_copy(update={"http": HttpSettings()})

    assert list(failures(world)) == []

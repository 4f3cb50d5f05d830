"""A machine that reads the contract and tries to prove it wrong (https://schemathesis.io)."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from platform_api.contract.pages import PATH
from platform_api.paging import Cursor
from platform_config import HttpSettings
from platform_domain.errors import Unauthenticated
from platform_domain.identity import Authenticator, Credentials, Identity, UserId
from platform_domain.projects import ProjectId, ProjectMark
from tests.api.conftest import World
from tests.api.contract.documented import operations_in
from tests.fakes import InMemoryIdempotencyKeys

CONFIG = {
    "seed": 1,
    "headers": {"X-User-Id": "alice"},
    "generation": {"deterministic": True, "max-examples": 50, "database": "none"},
}

# Unicode's White_Space, which is what is stripped; ECMA's \s has U+FEFF more and U+0085 less.
NOT_BLANK = r"[^\u0009-\u000d\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"


class OnlyAlice(Authenticator):
    """Knows one user: an invented one must be refused, as the contract says."""

    async def authenticate(self, credentials: Credentials) -> Identity:
        if credentials.headers.get("x-user-id") != "alice":
            raise Unauthenticated
        return Identity(UserId("alice"))


def tell_what_a_schema_cannot(document: dict[str, Any]) -> None:
    """A cursor is opaque, but not any text; a name is stripped before it is measured."""
    mark = ProjectMark(datetime(2026, 1, 2, tzinfo=UTC), ProjectId(UUID(int=7)))
    (cursor,) = (
        parameter
        for parameter in operations_in(document)["projects_list"]["parameters"]
        if parameter["name"] == "cursor"
    )
    cursor["schema"] = {"enum": [Cursor(ProjectMark).encode(mark)]}
    for model in ("NewProject", "NewName"):
        document["components"]["schemas"][model]["properties"]["name"]["allOf"] = [
            {"pattern": NOT_BLANK}
        ]


def failures(world: World) -> Iterator[str]:
    """Run everything schemathesis has: examples, borders, random values, chains of calls."""
    # Loading it takes longer than all other tests of this folder.
    from schemathesis import engine, openapi
    from schemathesis.config import SchemathesisConfig
    from schemathesis.engine import events

    schema = openapi.from_asgi(PATH, world.app(), config=SchemathesisConfig.from_dict(CONFIG))
    tell_what_a_schema_cannot(schema.raw_schema)
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

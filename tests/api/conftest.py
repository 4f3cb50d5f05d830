"""The whole public application over fakes: no database, no socket."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import httpx2
import pytest
from starlette.types import ASGIApp

from platform_api.app import create_app
from platform_api.authenticators import DevelopmentAuthenticator
from platform_api.feature import Feature
from platform_api.features.projects import ProjectsFeature
from platform_api.health import Readings
from platform_api.operation import Operation
from platform_api.server.lifecycle import Lifecycle, Phase
from platform_config import CorsSettings, HttpSettings, Settings
from tests.fakes import ImmediateUnitOfWork, InMemoryProjects, SettableHealth

ALLOWED_ORIGIN = "https://app.example.com"
MAX_BODY_BYTES = 1000


@dataclass
class Trial(Feature):
    """A feature whose operations a test hands in."""

    given: Sequence[Operation] = ()

    def operations(self) -> Sequence[Operation]:
        return self.given


def lifecycle_in(phase: Phase) -> Lifecycle:
    lifecycle = Lifecycle()
    lifecycle.phase = phase
    return lifecycle


@dataclass
class World:
    """What an application under test stands on, for a test to look at or to change."""

    projects: InMemoryProjects = field(default_factory=InMemoryProjects)
    lifecycle: Lifecycle = field(default_factory=lambda: lifecycle_in(Phase.READY))
    database: SettableHealth = field(default_factory=lambda: SettableHealth("database"))
    trial: Trial = field(default_factory=Trial)
    settings: Settings = field(
        default_factory=lambda: Settings(
            cors=CorsSettings(origins=(ALLOWED_ORIGIN,)),
            http=HttpSettings(max_body_bytes=MAX_BODY_BYTES),
        )
    )

    @property
    def readings(self) -> Readings:
        return Readings(self.lifecycle, [self.database])

    def app(self) -> ASGIApp:
        features = [ProjectsFeature(self.projects, ImmediateUnitOfWork()), self.trial]
        return create_app(
            self.settings, self.lifecycle, self.readings, features, DevelopmentAuthenticator()
        )

    def client(self, **headers: str) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=self.app()),
            base_url="http://test",
            headers={"x-user-id": "alice", **headers},
        )


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx2.AsyncClient]:
    async with world.client() as client:
        yield client

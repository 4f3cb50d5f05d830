"""The whole public application over fakes: no database, no socket."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

import httpx2
import pytest
from starlette.types import ASGIApp

from platform_api.app import create_app
from platform_api.authenticators import DevelopmentAuthenticator
from platform_api.capacity import Capacity
from platform_api.contract.openapi import openapi
from platform_api.feature import Feature, messages_of, topics_of
from platform_api.features.projects import ProjectsFeature
from platform_api.health import Readings
from platform_api.idempotency import Once
from platform_api.operation import Operation
from platform_api.realtime.contract import Contract
from platform_api.realtime.encoder import EncodedEvents
from platform_api.realtime.endpoint import Realtime
from platform_api.realtime.message import Message
from platform_api.realtime.presence import Rooms
from platform_api.realtime.sockets import Sockets
from platform_api.realtime.subscriptions import Subscriptions
from platform_api.realtime.topic import Topic, Topics
from platform_api.server.lifecycle import Lifecycle, Phase
from platform_config import CorsSettings, HttpSettings, Settings
from platform_domain.events import Events
from platform_domain.health import HealthCheck
from platform_domain.idempotency import IdempotencyKeys
from platform_domain.identity import Authenticator
from platform_infrastructure.events.memory import MemoryEventBus
from platform_infrastructure.presence.memory import MemoryPresence
from tests.fakes import (
    ImmediateUnitOfWork,
    InMemoryIdempotencyKeys,
    InMemoryProjects,
    SettableHealth,
)
from tests.no_database import database_server  # noqa: F401 - pytest finds the fixture here.

ALLOWED_ORIGIN = "https://app.example.com"
MAX_BODY_BYTES = 1000


@dataclass
class Trial(Feature):
    """A feature whose operations, topics and messages a test hands in."""

    given: Sequence[Operation] = ()
    given_topics: Sequence[Topic] = ()
    given_messages: Sequence[Message] = ()

    def operations(self) -> Sequence[Operation]:
        return self.given

    def topics(self) -> Sequence[Topic]:
        return self.given_topics

    def messages(self) -> Sequence[Message]:
        return self.given_messages


def lifecycle_in(phase: Phase) -> Lifecycle:
    lifecycle = Lifecycle()
    lifecycle.phase = phase
    return lifecycle


@dataclass
class World:
    """What an application under test stands on, for a test to look at or to change."""

    projects: InMemoryProjects = field(default_factory=InMemoryProjects)
    keys: IdempotencyKeys = field(default_factory=InMemoryIdempotencyKeys)
    lifecycle: Lifecycle = field(default_factory=lambda: lifecycle_in(Phase.READY))
    database: SettableHealth = field(default_factory=lambda: SettableHealth("database"))
    others: Sequence[HealthCheck] = ()
    trial: Trial = field(default_factory=Trial)
    authenticator: Authenticator = field(default_factory=DevelopmentAuthenticator)
    sockets: Sockets = field(default_factory=Sockets)
    bus: MemoryEventBus = field(default_factory=MemoryEventBus)
    settings: Settings = field(
        default_factory=lambda: Settings(
            cors=CorsSettings(origins=(ALLOWED_ORIGIN,)),
            http=HttpSettings(max_body_bytes=MAX_BODY_BYTES),
        )
    )

    @cached_property
    def subscriptions(self) -> Subscriptions:
        return Subscriptions(self.bus, self.sockets)

    @cached_property
    def rooms(self) -> Rooms:
        return Rooms(MemoryPresence(), self.bus, self.sockets)

    @cached_property
    def capacity(self) -> Capacity:
        return Capacity(self.settings.http.max_in_flight)

    @cached_property
    def events(self) -> Events:
        return EncodedEvents(self.bus, lambda: self.topics)

    @property
    def topics(self) -> Topics:
        return Topics(topics_of(self.features))

    @property
    def features(self) -> Sequence[Feature]:
        return [ProjectsFeature(self.projects, ImmediateUnitOfWork(), self.events), self.trial]

    @property
    def readings(self) -> Readings:
        return Readings(self.lifecycle, [self.database, *self.others])

    def app(self) -> ASGIApp:
        features = self.features
        contract = Contract(self.topics, messages_of(features))
        document = plain_document() if self.trial == Trial() else document_of(features, contract)
        realtime = Realtime(
            contract,
            self.sockets,
            self.subscriptions,
            self.rooms,
            self.authenticator,
            self.settings.cors.origins,
        )
        return create_app(
            self.settings,
            self.lifecycle,
            self.readings,
            self.capacity,
            features,
            self.authenticator,
            Once(self.keys, ImmediateUnitOfWork()),
            realtime,
            document,
        )

    def client(self, **headers: str) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=self.app()),
            base_url="http://test",
            headers={"x-user-id": "alice", **headers},
        )


def document_of(features: Sequence[Feature], contract: Contract) -> dict[str, Any]:
    return openapi(features, contract.client_message, contract.server_message)


@cache
def plain_document() -> dict[str, Any]:
    """The contract without a trial: once, for it takes most of the time of making an application."""
    world = World()
    return document_of(world.features, Contract(world.topics, messages_of(world.features)))


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx2.AsyncClient]:
    async with world.client() as client:
        yield client

"""Every long-lived object, once, in the order it is built. Nothing here does I/O."""

from dependency_injector.containers import DeclarativeContainer
from dependency_injector.providers import Dependency, Factory, List, Selector, Singleton

from platform_api.app import create_admin_app, create_app
from platform_api.authenticators import AnonymousAuthenticator, DevelopmentAuthenticator
from platform_api.capacity import Capacity
from platform_api.contract.openapi import openapi
from platform_api.feature import messages_of, tasks_of, topics_of
from platform_api.features.projects import ProjectsFeature
from platform_api.health import Readings, all_checks
from platform_api.idempotency import Once
from platform_api.load_shedding import LoadShedding
from platform_api.realtime.contract import Contract
from platform_api.realtime.encoder import EncodedEvents
from platform_api.realtime.endpoint import Realtime
from platform_api.realtime.presence import Rooms
from platform_api.realtime.sockets import Sockets
from platform_api.realtime.subscriptions import Subscriptions
from platform_api.realtime.topic import Topics
from platform_api.resources import Resource, opened
from platform_api.server.hardening.limits import Limits
from platform_api.server.inherited import NOTHING, Inherited
from platform_api.server.lifecycle import Lifecycle
from platform_api.server.runner import Server
from platform_api.tasks import Supervisor, Task
from platform_config import Settings
from platform_infrastructure.events.memory import MemoryEventBus
from platform_infrastructure.events.postgres import PostgresEventBus
from platform_infrastructure.events.valkey import valkey_event_bus
from platform_infrastructure.idempotency import PostgresIdempotencyKeys
from platform_infrastructure.postgres.breaker import Breaker
from platform_infrastructure.postgres.connections import Connections
from platform_infrastructure.postgres.database import Database, PostgresUnitOfWork
from platform_infrastructure.postgres.health import DatabaseHealth
from platform_infrastructure.postgres.leadership import AdvisoryLeadership
from platform_infrastructure.postgres.pool import Pool
from platform_infrastructure.postgres.start import opened_database
from platform_infrastructure.postgres.verification import verified_queries
from platform_infrastructure.presence import valkey_presence
from platform_infrastructure.presence.memory import MemoryPresence
from platform_infrastructure.presence.postgres import PostgresPresence
from platform_infrastructure.projects import PostgresProjects


class Container(DeclarativeContainer):
    settings = Dependency(instance_of=Settings)
    inherited = Dependency(instance_of=Inherited, default=NOTHING)
    lifecycle = Singleton(Lifecycle)

    breaker = Singleton(Breaker)
    pool = Singleton(Pool, settings.provided.database, breaker)
    connections = Singleton(Connections, settings.provided.database, pool, breaker)
    database = Singleton(Database, connections)
    unit_of_work = Singleton(PostgresUnitOfWork, connections)
    database_health = Singleton(DatabaseHealth, settings.provided.database, pool, breaker)
    leadership = Singleton(AdvisoryLeadership, settings.provided.database)

    bus = Selector(
        settings.provided.events_engine,
        memory=Singleton(MemoryEventBus),
        postgres=Singleton(PostgresEventBus, settings.provided.database, database),
        valkey=Singleton(valkey_event_bus, settings.provided.events, database),
    )
    presence = Selector(
        settings.provided.events_engine,
        memory=Singleton(MemoryPresence),
        postgres=Singleton(PostgresPresence, database),
        valkey=Singleton(valkey_presence, bus),
    )
    events = Singleton(EncodedEvents, bus)

    projects = Singleton(PostgresProjects, database)
    idempotency_keys = Singleton(PostgresIdempotencyKeys, database)

    authenticator = Selector(
        settings.provided.auth.authenticator,
        anonymous=Singleton(AnonymousAuthenticator),
        development=Singleton(DevelopmentAuthenticator),
    )
    features = List(
        Singleton(ProjectsFeature, projects=projects, unit_of_work=unit_of_work, events=events),
    )
    topics = Singleton(Topics, Factory(topics_of, features))
    # Set here because features depend on `events` and also declare its topics.
    events.add_args(topics.provider)

    sockets = Singleton(Sockets, settings.provided.sockets)
    subscriptions = Singleton(Subscriptions, bus, sockets)
    rooms = Singleton(Rooms, presence, bus, sockets)

    own_tasks = List(
        Singleton(Task, "database-health", database_health.provided.run, critical=True),
        Singleton(Task, "idempotency-keys", idempotency_keys.provided.forget_expired, every=3600.0),
        Singleton(Task, "event-catch-up", subscriptions.provided.run, critical=True),
        Singleton(Task, "presence", rooms.provided.run),
    )
    engine_tasks = Selector(
        settings.provided.events_engine,
        memory=List(),
        postgres=List(
            Singleton(Task, "event-reader", bus.provided.run, critical=True),
            Singleton(Task, "event-trim", bus.provided.trim, every=60.0),
        ),
        valkey=List(
            Singleton(Task, "event-reader", bus.provided.run, critical=True),
            Singleton(Task, "event-relay", bus.provided.relay),
        ),
    )
    supervisor = Singleton(
        Supervisor,
        Factory(tasks_of, features, own_tasks, engine_tasks),
        leadership,
        stop_timeout=settings.provided.shutdown.stop_timeout,
    )
    checks = Singleton(
        all_checks,
        List(database_health),
        bus.provided.checks,
        supervisor.provided.checks,
        inherited.provided.checks,
    )
    readings = Singleton(Readings, lifecycle, checks)
    contract = Singleton(Contract, topics, Factory(messages_of, features))
    realtime = Singleton(
        Realtime,
        contract,
        sockets,
        subscriptions,
        rooms,
        authenticator,
        settings.provided.cors.origins,
    )
    document = Singleton(
        openapi,
        features,
        contract.provided.client_message,
        contract.provided.server_message,
    )
    once = Singleton(Once, idempotency_keys, unit_of_work)
    capacity = Singleton(Capacity, settings.provided.http.max_in_flight)
    app = Singleton(
        create_app,
        settings,
        lifecycle,
        readings,
        capacity,
        features,
        authenticator,
        once,
        realtime,
        document,
    )

    resources = List(
        Singleton(
            Resource,
            "database",
            Factory(
                opened_database,
                settings.provided.database,
                pool,
                migrating=settings.provided.development,
            ).provider,
        ),
        Singleton(
            Resource,
            "verified queries",
            Factory(
                verified_queries,
                settings.provided.database,
                development=settings.provided.development,
            ).provider,
        ),
        Singleton(Resource, "first health check", database_health.provided.opened),
        Singleton(Resource, "events", bus.provided.opened),
        Singleton(Resource, "leadership", leadership.provided.opened),
        Singleton(Resource, "background tasks", supervisor.provider),
    )
    server = Singleton(
        Server,
        public=app,
        admin=Singleton(create_admin_app, settings, readings),
        settings=settings.provided.server,
        shutdown=settings.provided.shutdown,
        limits=Factory(Limits.of, settings.provided.http, settings.provided.sockets),
        lifecycle=lifecycle,
        resources=Factory(opened, resources),
        shed=Singleton(LoadShedding, capacity, lifecycle),
        closers=List(sockets.provided.drain),
        inherited=inherited,
    )

"""Every long-lived object, once, in the order it is built. Nothing here does I/O."""

from dependency_injector.containers import DeclarativeContainer
from dependency_injector.providers import Dependency, Factory, List, Selector, Singleton

from platform_api.app import create_admin_app, create_app
from platform_api.authenticators import AnonymousAuthenticator, DevelopmentAuthenticator
from platform_api.feature import tasks_of
from platform_api.features.projects import ProjectsFeature
from platform_api.health import Readings, all_checks
from platform_api.resources import Resource, opened
from platform_api.server.lifecycle import Lifecycle
from platform_api.server.runner import Server
from platform_api.tasks import Supervisor, Task
from platform_config import Settings
from platform_infrastructure.postgres.database import Database, PostgresUnitOfWork
from platform_infrastructure.postgres.health import DatabaseHealth
from platform_infrastructure.postgres.pool import create_pool
from platform_infrastructure.postgres.start import opened_database
from platform_infrastructure.projects import PostgresProjects


class Container(DeclarativeContainer):
    settings = Dependency(instance_of=Settings)
    lifecycle = Singleton(Lifecycle)

    pool = Singleton(create_pool, settings.provided.database)
    database = Singleton(Database, pool)
    unit_of_work = Singleton(PostgresUnitOfWork, pool)
    database_health = Singleton(DatabaseHealth, settings.provided.database, pool)

    projects = Singleton(PostgresProjects, database)

    authenticator = Selector(
        settings.provided.auth.authenticator,
        anonymous=Singleton(AnonymousAuthenticator),
        development=Singleton(DevelopmentAuthenticator),
    )
    features = List(
        Singleton(ProjectsFeature, projects, unit_of_work),
    )

    own_tasks = List(
        Singleton(Task, "database-health", database_health.provided.run, critical=True),
    )
    supervisor = Singleton(
        Supervisor,
        Factory(tasks_of, features, own_tasks),
        stop_timeout=settings.provided.shutdown.stop_timeout,
    )
    checks = Singleton(all_checks, List(database_health), supervisor)
    readings = Singleton(Readings, lifecycle, checks)
    app = Singleton(create_app, settings, lifecycle, readings, features, authenticator)

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
        Singleton(Resource, "background tasks", supervisor.provider),
    )
    server = Singleton(
        Server,
        public=app,
        admin=Singleton(create_admin_app, readings),
        settings=settings.provided.server,
        shutdown=settings.provided.shutdown,
        lifecycle=lifecycle,
        resources=Factory(opened, resources),
    )

"""One in-memory stand-in per port."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import uuid4

from platform_domain.events import Event, Events, TopicName
from platform_domain.health import Health, HealthCheck, Status
from platform_domain.idempotency import (
    KEPT_FOR,
    IdempotencyKeyInUse,
    IdempotencyKeyReused,
    IdempotencyKeys,
    KeptAnswer,
    KeyedRequest,
)
from platform_domain.identity import UserId
from platform_domain.projects import (
    Project,
    ProjectId,
    ProjectMark,
    ProjectNameTaken,
    ProjectNotFound,
    Projects,
)
from platform_domain.unit_of_work import UnitOfWork

T = TypeVar("T")


class InMemoryProjects(Projects):
    def __init__(self) -> None:
        self.all: dict[ProjectId, Project] = {}

    async def create(self, name: str, *, owner: UserId) -> Project:
        self._refuse_taken(name, owner)
        now = datetime.now(UTC)
        project = Project(ProjectId(uuid4()), owner, name, 1, now, now)
        self.all[project.id] = project
        return project

    async def get(self, id: ProjectId, *, owner: UserId) -> Project:
        project = self.all.get(id)
        if project is None or project.owner != owner:
            raise ProjectNotFound
        return project

    async def list(
        self, *, owner: UserId, after: ProjectMark | None, limit: int
    ) -> Sequence[Project]:
        own = sorted(
            (project for project in self.all.values() if project.owner == owner),
            key=lambda project: (project.created_at, project.id),
            reverse=True,
        )
        if after is not None:
            own = [p for p in own if (p.created_at, p.id) < (after.created_at, after.id)]
        return own[:limit]

    async def rename(self, id: ProjectId, name: str, *, owner: UserId) -> tuple[Project, bool]:
        project = await self.get(id, owner=owner)
        if name == project.name:
            return project, False
        self._refuse_taken(name, owner)
        renamed = replace(
            project, name=name, version=project.version + 1, updated_at=datetime.now(UTC)
        )
        self.all[id] = renamed
        return renamed, True

    async def delete(self, id: ProjectId, *, owner: UserId) -> None:
        await self.get(id, owner=owner)
        del self.all[id]

    def _refuse_taken(self, name: str, owner: UserId) -> None:
        if any((p.owner, p.name) == (owner, name) for p in self.all.values()):
            raise ProjectNameTaken


class ImmediateUnitOfWork(UnitOfWork):
    """Keeps nothing back: there is nothing to roll back in memory."""

    async def run(self, work: Callable[[], Awaitable[T]], *, serializable: bool = False) -> T:
        return await work()


class InMemoryIdempotencyKeys(IdempotencyKeys):
    """A claim ends with the task that made it, as if each task was one unit of work."""

    def __init__(self, kept_for: timedelta = KEPT_FOR) -> None:
        self._kept_for = kept_for
        self._claims: dict[tuple[str, str, str], asyncio.Task[object] | None] = {}
        self._kept: dict[tuple[str, str, str], tuple[KeyedRequest, KeptAnswer, datetime]] = {}

    async def claim(self, request: KeyedRequest) -> KeptAnswer | None:
        key, task = _key_of(request), asyncio.current_task()
        holder = self._claims.get(key)
        if holder not in (None, task) and not holder.done():
            raise IdempotencyKeyInUse
        self._claims[key] = task
        return self._find(request)

    async def keep(self, request: KeyedRequest, answer: KeptAnswer) -> None:
        key = _key_of(request)
        self._kept[key] = (request, answer, datetime.now(UTC) + self._kept_for)
        self._claims.pop(key, None)

    def _find(self, request: KeyedRequest) -> KeptAnswer | None:
        if _key_of(request) not in self._kept:
            return None
        first, answer, expires_at = self._kept[_key_of(request)]
        if expires_at <= datetime.now(UTC):
            return None
        if first.fingerprint != request.fingerprint:
            raise IdempotencyKeyReused
        return answer


def _key_of(request: KeyedRequest) -> tuple[str, str, str]:
    return request.caller, request.operation, request.key


class RecordedEvents(Events):
    """Remembers what was published."""

    def __init__(self) -> None:
        self.published: list[tuple[TopicName, Event]] = []

    async def publish(self, topic: TopicName, event: Event) -> None:
        self.published.append((topic, event))


class SettableHealth(HealthCheck):
    def __init__(self, name: str, status: Status = Status.UP) -> None:
        self.name = name
        self.status = status

    def health(self) -> Health:
        return Health(self.status, datetime.now(UTC))

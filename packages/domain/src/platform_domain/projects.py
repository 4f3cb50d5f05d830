"""Projects: what one is, and what the platform asks of the place that keeps them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NewType, Protocol
from uuid import UUID

from platform_domain.errors import Conflict, InvalidInput, NotFound
from platform_domain.events import Event
from platform_domain.identity import UserId

ProjectId = NewType("ProjectId", UUID)

NAME_MAX_LENGTH = 100


@dataclass(frozen=True, slots=True)
class Project:
    """A creator's project. `version` starts at 1 and grows with every change."""

    id: ProjectId
    owner: UserId
    name: str
    version: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class ProjectCreated(Event):
    type = "project.created"
    id: ProjectId
    name: str
    version: int


@dataclass(frozen=True, slots=True)
class ProjectRenamed(Event):
    type = "project.renamed"
    id: ProjectId
    name: str
    version: int


@dataclass(frozen=True, slots=True)
class ProjectDeleted(Event):
    type = "project.deleted"
    id: ProjectId


class ProjectNotFound(NotFound):
    code = "project_not_found"
    message = "There is no such project."


class ProjectNameTaken(Conflict):
    code = "project_name_taken"
    message = "You already have a project of this name."


class ProjectNameInvalid(InvalidInput):
    code = "project_name_invalid"
    message = f"A project's name has 1 to {NAME_MAX_LENGTH} characters and is not blank."


@dataclass(frozen=True, slots=True)
class ProjectMark:
    """A place in the list of projects: right behind the project that has these values."""

    created_at: datetime
    id: ProjectId

    @classmethod
    def of(cls, project: Project) -> "ProjectMark":
        return cls(project.created_at, project.id)


class Projects(Protocol):
    """All projects, wherever they are kept. An owner sees and changes only their own."""

    async def create(self, name: str, *, owner: UserId) -> Project:
        """Keep a new project, or raise `ProjectNameTaken` or `ProjectNameInvalid`."""
        ...

    async def get(self, id: ProjectId, *, owner: UserId) -> Project:
        """Return the project, or raise `ProjectNotFound`."""
        ...

    async def list(
        self, *, owner: UserId, after: ProjectMark | None, limit: int
    ) -> Sequence[Project]:
        """Return at most `limit` projects behind `after`, the newest first."""
        ...

    async def rename(self, id: ProjectId, name: str, *, owner: UserId) -> tuple[Project, bool]:
        """Return the project and whether it changed. It does not if `name` is its current name.

        Raises `ProjectNotFound`, `ProjectNameTaken` or `ProjectNameInvalid`.
        """
        ...

    async def delete(self, id: ProjectId, *, owner: UserId) -> None:
        """Forget the project, or raise `ProjectNotFound`."""
        ...

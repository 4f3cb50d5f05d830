"""Projects over HTTP."""

from collections.abc import Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from pydantic import Field, StringConstraints

from platform_api.feature import Feature
from platform_api.operation import Operation
from platform_api.paging import Cursor, Page, PageQuery
from platform_api.realtime.topic import Topic, own_topic
from platform_api.schema import READABLE, Input, Output, Parameters
from platform_domain.events import Events, user_topic
from platform_domain.identity import Identity
from platform_domain.projects import (
    NAME_MAX_LENGTH,
    Project,
    ProjectCreated,
    ProjectDeleted,
    ProjectId,
    ProjectMark,
    ProjectNameInvalid,
    ProjectNameTaken,
    ProjectNotFound,
    ProjectRenamed,
    Projects,
)
from platform_domain.unit_of_work import UnitOfWork

Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=NAME_MAX_LENGTH),
    *READABLE,
    Field(description="Unique among the caller's projects.", examples=["Storyboard"]),
]


class ProjectPath(Parameters):
    id: UUID


class NewProject(Input):
    name: Name


class RenameProject(Input):
    name: Name


class ProjectView(Output):
    id: UUID
    name: str = Field(examples=["Storyboard"])
    version: int
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, project: Project) -> "ProjectView":
        return cls(
            id=project.id,
            name=project.name,
            version=project.version,
            created_at=project.created_at,
            updated_at=project.updated_at,
        )


class ProjectsFeature(Feature):
    """Projects of the caller: create, list, rename and delete them."""

    def __init__(self, projects: Projects, unit_of_work: UnitOfWork, events: Events) -> None:
        self._projects = projects
        self._unit_of_work = unit_of_work
        self._events = events
        self._cursor = Cursor(ProjectMark)

    def operations(self) -> Sequence[Operation]:
        naming = (ProjectNameTaken, ProjectNameInvalid)
        return [
            Operation(
                "POST",
                "/projects",
                self.create,
                status=HTTPStatus.CREATED,
                location="/projects/{id}",
                errors=naming,
                idempotent=True,
            ),
            Operation("GET", "/projects", self.list),
            Operation("GET", "/projects/{id}", self.show, errors=(ProjectNotFound,)),
            Operation("PATCH", "/projects/{id}", self.rename, errors=(ProjectNotFound, *naming)),
            Operation(
                "DELETE",
                "/projects/{id}",
                self.delete,
                status=HTTPStatus.NO_CONTENT,
                errors=(ProjectNotFound,),
            ),
        ]

    def topics(self) -> Sequence[Topic]:
        return [own_topic(ProjectCreated, ProjectRenamed, ProjectDeleted)]

    async def create(self, *, body: NewProject, caller: Identity) -> ProjectView:
        """Create a project."""

        async def work() -> Project:
            project = await self._projects.create(body.name, owner=caller.user)
            created = ProjectCreated(project.id, project.name, project.version)
            await self._events.publish(user_topic(caller.user), created)
            return project

        return ProjectView.of(await self._unit_of_work.run(work))

    async def list(self, *, query: PageQuery, caller: Identity) -> Page[ProjectView]:
        """List the caller's projects, the newest first."""
        after = self._cursor.decode(query.cursor)
        found = await self._projects.list(owner=caller.user, after=after, limit=query.limit + 1)
        page = found[: query.limit]
        more = len(found) > query.limit
        return Page(
            items=[ProjectView.of(project) for project in page],
            next_cursor=self._cursor.encode(ProjectMark.of(page[-1])) if more else None,
        )

    async def show(self, *, path: ProjectPath, caller: Identity) -> ProjectView:
        """Show one project."""
        return ProjectView.of(await self._projects.get(ProjectId(path.id), owner=caller.user))

    async def rename(
        self, *, path: ProjectPath, body: RenameProject, caller: Identity
    ) -> ProjectView:
        """Rename a project.

        Renaming to the current name changes nothing, not even the version.
        """

        async def work() -> Project:
            id = ProjectId(path.id)
            project, changed = await self._projects.rename(id, body.name, owner=caller.user)
            if changed:
                renamed = ProjectRenamed(project.id, project.name, project.version)
                await self._events.publish(user_topic(caller.user), renamed)
            return project

        return ProjectView.of(await self._unit_of_work.run(work))

    async def delete(self, *, path: ProjectPath, caller: Identity) -> None:
        """Delete a project."""

        async def work() -> None:
            await self._projects.delete(ProjectId(path.id), owner=caller.user)
            await self._events.publish(user_topic(caller.user), ProjectDeleted(ProjectId(path.id)))

        await self._unit_of_work.run(work)

"""Projects kept in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID, uuid4

from platform_domain.identity import UserId
from platform_domain.projects import (
    Project,
    ProjectId,
    ProjectMark,
    ProjectNameInvalid,
    ProjectNameTaken,
    ProjectNotFound,
    Projects,
)
from platform_infrastructure.postgres.database import Database
from platform_queries import Exec, Many, Maybe, One


class CreateProject(One[Project]):
    sql = """
        INSERT INTO projects (id, owner, name) VALUES (%(id)s, %(owner)s, %(name)s)
        RETURNING id, owner, name, version, created_at, updated_at
    """
    raises = {
        "projects_owner_name_key": ProjectNameTaken,
        "projects_name_check": ProjectNameInvalid,
    }
    unbreakable = {"projects_pkey"}  # The id is a random UUID of ours.
    id: UUID
    owner: str
    name: str


class FindProject(Maybe[Project]):
    sql = """
        SELECT id, owner, name, version, created_at, updated_at
        FROM projects WHERE id = %(id)s AND owner = %(owner)s
    """
    id: UUID
    owner: str


class ListProjects(Many[Project]):
    sql = """
        SELECT id, owner, name, version, created_at, updated_at FROM projects
        WHERE owner = %(owner)s
          AND (%(after_created_at)s::timestamptz IS NULL
               OR (created_at, id) < (%(after_created_at)s, %(after_id)s::uuid))
        ORDER BY created_at DESC, id DESC LIMIT %(limit)s
    """
    owner: str
    after_created_at: datetime | None
    after_id: UUID | None
    limit: int


class RenameProject(Maybe[Project]):
    """Finds no row if the project already has this name."""

    sql = """
        UPDATE projects SET name = %(name)s, version = version + 1, updated_at = now()
        WHERE id = %(id)s AND owner = %(owner)s AND name <> %(name)s
        RETURNING id, owner, name, version, created_at, updated_at
    """
    raises = {
        "projects_owner_name_key": ProjectNameTaken,
        "projects_name_check": ProjectNameInvalid,
    }
    id: UUID
    owner: str
    name: str


class DeleteProject(Exec):
    sql = "DELETE FROM projects WHERE id = %(id)s AND owner = %(owner)s"
    id: UUID
    owner: str


class PostgresProjects(Projects):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, name: str, *, owner: UserId) -> Project:
        return await self._database.run(CreateProject(id=uuid4(), owner=owner, name=name))

    async def get(self, id: ProjectId, *, owner: UserId) -> Project:
        return _found(await self._database.run(FindProject(id=id, owner=owner)))

    async def list(
        self, *, owner: UserId, after: ProjectMark | None, limit: int
    ) -> Sequence[Project]:
        return await self._database.run(
            ListProjects(
                owner=owner,
                after_created_at=after.created_at if after else None,
                after_id=after.id if after else None,
                limit=limit,
            )
        )

    async def rename(self, id: ProjectId, name: str, *, owner: UserId) -> tuple[Project, bool]:
        renamed = await self._database.run(RenameProject(id=id, owner=owner, name=name))
        return (renamed, True) if renamed else (await self.get(id, owner=owner), False)

    async def delete(self, id: ProjectId, *, owner: UserId) -> None:
        if not await self._database.run(DeleteProject(id=id, owner=owner)):
            raise ProjectNotFound


def _found(project: Project | None) -> Project:
    if project is None:
        raise ProjectNotFound
    return project

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from platform_domain.identity import UserId
from platform_domain.projects import Project, ProjectId, ProjectMark


def test_the_place_of_a_project_in_the_list_does_not_move_when_it_is_renamed() -> None:
    created = datetime.now(UTC)
    project = Project(ProjectId(uuid4()), UserId("alice"), "Storyboard", 1, created, created)
    renamed = replace(
        project, name="Animatic", version=2, updated_at=created + timedelta(minutes=1)
    )

    assert ProjectMark.of(renamed) == ProjectMark.of(project) == ProjectMark(created, project.id)

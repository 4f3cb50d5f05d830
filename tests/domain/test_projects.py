from datetime import UTC, datetime
from uuid import uuid4

from platform_domain.identity import UserId
from platform_domain.projects import Project, ProjectId, ProjectMark


def test_a_mark_is_the_place_right_behind_its_project() -> None:
    now = datetime.now(UTC)
    project = Project(ProjectId(uuid4()), UserId("alice"), "Storyboard", 1, now, now)

    assert ProjectMark.of(project) == ProjectMark(now, project.id)

from platform_domain.errors import NotFound, Unavailable
from platform_domain.projects import ProjectNotFound


def test_an_error_says_its_class_sentence_unless_it_is_given_one() -> None:
    assert str(ProjectNotFound()) == ProjectNotFound.message
    assert ProjectNotFound("Gone.").text == "Gone."


def test_details_are_kept_apart_from_the_sentence() -> None:
    assert NotFound(id=7).details == {"id": 7}
    assert Unavailable(retry_after=3, part="database").details == {"part": "database"}

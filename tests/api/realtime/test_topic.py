import pytest

from platform_api.operation import OperationInvalid
from platform_api.realtime.topic import (
    Parameters,
    SlowPolicy,
    Topic,
    TopicForbidden,
    TopicNotFound,
    Topics,
    only_oneself,
    own_topic,
)
from platform_domain.errors import Forbidden
from platform_domain.identity import Identity, UserId
from platform_domain.projects import ProjectCreated, ProjectRenamed

pytestmark = pytest.mark.anyio

ALICE = Identity(UserId("alice"))
ID = "0b8f8a3e-6c1d-4f7a-9d52-3f6a0e6d9c41"


async def anybody(caller: Identity, parameters: Parameters) -> None: ...


async def nobody(caller: Identity, parameters: Parameters) -> None:
    raise Forbidden


@pytest.mark.parametrize(
    ("pattern", "name", "parameters"),
    [
        ("user:{user}", "user:alice", {"user": "alice"}),
        ("project:{id}:scene:{scene}", "project:7:scene:8", {"id": "7", "scene": "8"}),
        ("news", "news", {}),
        ("user:{user}", "user:", None),
        ("user:{user}", "user:a:b", None),
        ("user:{user}", "xuser:a", None),
        ("a.c", "abc", None),
        ("project:{id:uuid}", f"project:{ID}", {"id": ID}),
        ("project:{id:uuid}:{scene}", f"project:{ID}:8", {"id": ID, "scene": "8"}),
        ("project:{id:uuid}", f"project:{ID.upper()}", None),
        ("project:{id:uuid}", f"project:{ID.replace('-', '')}", None),
        ("project:{id:uuid}", "project:7", None),
    ],
)
def test_a_pattern_takes_its_names_only(
    pattern: str, name: str, parameters: dict[str, str] | None
) -> None:
    assert Topic(pattern, (), anybody).parameters(name) == parameters


async def test_a_user_may_listen_to_their_own_topic_only() -> None:
    topics = Topics([own_topic()])

    await topics.authorise("user:alice", ALICE)
    with pytest.raises(TopicForbidden):
        await topics.authorise("user:bob", ALICE)


async def test_a_topic_that_nobody_declared_is_not_found() -> None:
    with pytest.raises(TopicNotFound):
        await Topics([own_topic()]).authorise("project:7", ALICE)


async def test_the_feature_decides_who_may_listen() -> None:
    topics = Topics([Topic("open", (), anybody), Topic("closed", (), nobody)])

    await topics.authorise("open", ALICE)
    with pytest.raises(Forbidden):
        await topics.authorise("closed", ALICE)


@pytest.mark.parametrize(
    "other",
    [
        Topic("news", (), nobody),
        Topic("news", (), anybody, slow=SlowPolicy.LATEST_ONLY),
        Topic("news", (), anybody, presence=True),
    ],
)
def test_one_pattern_cannot_be_declared_in_two_ways(other: Topic) -> None:
    with pytest.raises(OperationInvalid, match="news"):
        Topics([Topic("news", (), anybody), other])


async def test_features_may_share_a_pattern() -> None:
    topics = Topics([own_topic(ProjectCreated), own_topic(ProjectRenamed)])

    await topics.authorise("user:alice", ALICE)


def test_a_topic_has_presence_only_when_its_feature_says_so() -> None:
    topics = Topics([Topic("room:{id}", (), anybody, presence=True), Topic("news", (), anybody)])

    assert topics.has_presence("room:7")
    assert not topics.has_presence("news")
    with pytest.raises(TopicNotFound):
        topics.has_presence("nowhere")


async def test_only_oneself_is_oneself() -> None:
    await only_oneself(ALICE, {"user": "alice"})
    with pytest.raises(TopicForbidden):
        await only_oneself(ALICE, {"user": "Alice"})

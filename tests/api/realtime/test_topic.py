import pytest

from platform_api.realtime.topic import (
    Parameters,
    Topic,
    TopicForbidden,
    TopicNotFound,
    Topics,
    only_oneself,
    own_topic,
)
from platform_domain.errors import Forbidden
from platform_domain.identity import Identity, UserId

pytestmark = pytest.mark.anyio

ALICE = Identity(UserId("alice"))


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


async def test_only_oneself_is_oneself() -> None:
    await only_oneself(ALICE, {"user": "alice"})
    with pytest.raises(TopicForbidden):
        await only_oneself(ALICE, {"user": "Alice"})

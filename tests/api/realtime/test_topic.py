import re
from dataclasses import dataclass
from uuid import UUID

import pytest
from loguru import logger

from platform_api.declaration import DeclarationInvalid
from platform_api.operation import Operation
from platform_api.realtime.encoder import EncodedEvents
from platform_api.realtime.topic import (
    EventUndeclared,
    Parameters,
    SlowPolicy,
    Topic,
    TopicForbidden,
    TopicNotFound,
    Topics,
    own_topic,
)
from platform_domain.errors import Forbidden
from platform_domain.events import Event, TopicName
from platform_domain.identity import Identity, UserId
from platform_domain.projects import ProjectCreated, ProjectDeleted, ProjectId, ProjectRenamed
from platform_infrastructure.events.memory import MemoryEventBus
from tests.api.conftest import World
from tests.api.shapes import assert_error, assert_names_the_place

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
        ("file:{name}-{number}", "file:a-b-7", {"name": "a", "number": "b-7"}),
        ("file:{name}-{number}", "file:a", None),
    ],
)
def test_a_pattern_takes_its_names_only(
    pattern: str, name: str, parameters: dict[str, str] | None
) -> None:
    assert Topic(pattern, (), anybody).parameters(name) == parameters


async def test_a_user_may_listen_to_their_own_topic_only() -> None:
    topics = Topics([own_topic()])

    await topics.authorise("user:alice", ALICE)
    for other in ("user:bob", "user:Alice"):
        with pytest.raises(TopicForbidden):
            await topics.authorise(other, ALICE)


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
    with pytest.raises(DeclarationInvalid, match="news") as caught:
        Topics([Topic("news", (), anybody), other])

    assert_names_the_place(caught.value, anybody, other.authorise)


async def test_features_may_share_a_pattern() -> None:
    topics = Topics([own_topic(ProjectCreated), own_topic(ProjectRenamed)])

    await topics.authorise("user:alice", ALICE)
    assert topics.events == [ProjectCreated, ProjectRenamed]


@pytest.mark.parametrize("first", [True, False])
async def test_one_feature_decides_for_all_that_share_a_pattern(first: bool) -> None:
    deciding = Topic("news", (ProjectCreated,), nobody, SlowPolicy.LATEST_ONLY, presence=True)
    joining = Topic("news", (ProjectRenamed, ProjectCreated))

    topics = Topics([deciding, joining] if first else [joining, deciding])

    with pytest.raises(Forbidden):
        await topics.authorise("news", ALICE)
    assert topics.slow("news") is SlowPolicy.LATEST_ONLY
    assert topics.has_presence("news")
    for event in (ProjectCreated, ProjectRenamed):
        topics.require_declared("news", event)


def test_a_pattern_without_a_decision_fails_at_start_up() -> None:
    with pytest.raises(DeclarationInvalid, match=r"topic news \(ProjectCreated\): no feature"):
        Topics([Topic("news", (ProjectCreated,))])


@pytest.mark.parametrize(
    "pattern",
    ["", ":", "a:", ":a", "a::b", "{id", "id}", "{}", "{7}", "{id:int}", "{id}:{id}", "a b", "a\n"],
)
def test_a_pattern_that_cannot_work_fails_at_start_up(pattern: str) -> None:
    with pytest.raises(DeclarationInvalid, match="a pattern is made of") as caught:
        Topic(pattern, (), anybody)

    assert "anybody, " in str(caught.value)


class NoDataclass(Event):
    type = "no.dataclass"


@dataclass(frozen=True, slots=True)
class NoType(Event):
    id: str


@pytest.mark.parametrize("event", [NoDataclass, NoType])
def test_an_event_that_cannot_be_written_fails_at_start_up(event: type[Event]) -> None:
    with pytest.raises(DeclarationInvalid, match=f"{event.__name__} must be a dataclass") as caught:
        Topic("news", (event,), anybody)

    assert_names_the_place(caught.value, anybody)


@dataclass(frozen=True, slots=True)
class Renamed(Event):
    type = "project.renamed"


def test_two_events_of_one_type_fail_at_start_up() -> None:
    with pytest.raises(DeclarationInvalid, match=r"'project\.renamed'.*ProjectRenamed.*Renamed"):
        Topics([own_topic(ProjectRenamed), Topic("news", (Renamed,), anybody)])


def sync(caller: Identity, parameters: Parameters) -> None: ...


def test_who_may_listen_cannot_be_decided_by_a_sync_function() -> None:
    with pytest.raises(DeclarationInvalid, match="must be `async def`") as caught:
        Topic("news", (), sync)  # type: ignore[arg-type]

    assert_names_the_place(caught.value, sync)


@pytest.mark.parametrize(
    ("topic", "complaint"),
    [
        ("nowhere", "No feature declares the topic 'nowhere'"),
        ("user:", "No feature declares the topic 'user:'"),
        ("user:alice", "No feature declares ProjectRenamed on user:{user}"),
    ],
)
async def test_what_no_feature_declares_cannot_be_published(topic: str, complaint: str) -> None:
    bus = MemoryEventBus()
    events = EncodedEvents(bus, lambda: Topics([own_topic(ProjectCreated)]))

    with pytest.raises(EventUndeclared, match=re.escape(complaint)):
        await events.publish(TopicName(topic), ProjectRenamed(ProjectId(UUID(ID)), "a", 2))

    assert [head.offset for head in await bus.heads([TopicName(topic)])] == [0]


def test_a_topic_has_presence_only_when_its_feature_says_so() -> None:
    topics = Topics([Topic("room:{id}", (), anybody, presence=True), Topic("news", (), anybody)])

    assert topics.has_presence("room:7")
    assert not topics.has_presence("news")
    with pytest.raises(TopicNotFound):
        topics.has_presence("nowhere")


async def test_publishing_what_no_feature_declares_fails_the_request_and_is_logged(
    world: World,
) -> None:
    async def publish() -> None:
        await world.events.publish(TopicName("scene:7"), ProjectDeleted(ProjectId(UUID(ID))))

    world.trial.given = [Operation("POST", "/trials", publish, status=204)]
    lines: list[str] = []
    sink = logger.add(lines.append, format="{level} {message}", diagnose=False)
    async with world.client() as client:
        answer = await client.post("/api/v1/trials")
    logger.remove(sink)

    assert_error(answer, 500, "internal_error")
    (line,) = (line for line in lines if line.startswith("ERROR"))
    assert "EventUndeclared: No feature declares the topic 'scene:7'" in line
    assert f'{__file__}", line {publish.__code__.co_firstlineno + 1}, in publish' in line

"""What every engine of presence promises, wherever it keeps who is there."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from platform_domain.errors import Unavailable
from platform_domain.events import TopicName
from platform_domain.identity import UserId
from platform_domain.presence import Attendance, Member, Presence
from platform_infrastructure.events.valkey.client import ValkeyClient
from platform_infrastructure.postgres.database import Database
from platform_infrastructure.presence.postgres import PostgresPresence
from platform_infrastructure.presence.valkey import ValkeyPresence
from tests.infrastructure.events.nodes import PATIENCE_SECONDS
from tests.infrastructure.events.valkeys import TestValkey, free_port, started_valkey
from tests.infrastructure.postgres.connections import opened
from tests.infrastructure.presence.sites import MemorySite, PostgresSite, Site, ValkeySite

pytestmark = pytest.mark.anyio

ROOM = TopicName("room:1 {quiet}")
OTHER = TopicName("room:zwö")
ALICE, BOB = UserId("alice"), UserId("bob of  the\tnorth, 'ö'")
NOBODY = Attendance()
SHORT_SECONDS = 0.2
SHARED = pytest.mark.parametrize("site", ["postgres", "valkey"], indirect=True)


@pytest.fixture(scope="module")
def server() -> Iterator[TestValkey]:
    with started_valkey() as valkey:
        yield valkey


@pytest.fixture(params=["memory", "postgres", "valkey"])
async def site(request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    match request.param:
        case "memory":
            yield MemorySite()
        case "postgres":
            url = request.getfixturevalue("database_url")
            async with opened(url) as connections:
                yield PostgresSite(url, Database(connections))
        case _:
            server = request.getfixturevalue("server")
            server.ask("FLUSHALL")
            client = ValkeyClient(server.url)
            yield ValkeySite(server, client)
            await client.close()


def on(topic: TopicName, *users: UserId) -> list[Member]:
    return [Member(topic, user) for user in users]


async def users(node: Presence, topic: TopicName = ROOM) -> frozenset[UserId]:
    return (await node.snapshot([topic]))[topic].users


async def test_a_topic_that_nobody_joined_is_empty(site: Site) -> None:
    assert await site.node().snapshot([ROOM, OTHER]) == {ROOM: NOBODY, OTHER: NOBODY}


async def test_who_joined_is_there_until_they_leave(site: Site) -> None:
    node = site.node()

    await node.join([*on(ROOM, ALICE, BOB), *on(OTHER, BOB)])
    both = await node.snapshot([ROOM, OTHER])
    await node.leave(on(ROOM, BOB))

    assert both == {
        ROOM: Attendance(here=frozenset({ALICE, BOB})),
        OTHER: Attendance(here=frozenset({BOB})),
    }
    assert await users(node) == {ALICE}
    assert await users(node, OTHER) == {BOB}


async def test_what_is_said_twice_counts_once(site: Site) -> None:
    node = site.node()

    await node.join([*on(ROOM, ALICE), *on(ROOM, ALICE)])
    await node.join(on(ROOM, ALICE))
    await node.leave(on(ROOM, ALICE, BOB))
    await node.leave(on(ROOM, ALICE))

    assert await users(node) == frozenset()
    assert site.kept() == 0


async def test_many_come_and_go_at_once(site: Site) -> None:
    node = site.node()
    crowd = [UserId(f"user {number}") for number in range(3000)]

    await node.join(on(ROOM, *crowd))
    assert await users(node) == set(crowd)
    await node.leave(on(ROOM, *crowd[1:]))

    assert await users(node) == {crowd[0]}


async def test_a_node_that_ends_takes_its_users_with_it(site: Site) -> None:
    node = site.node()
    await node.join([*on(ROOM, ALICE), *on(OTHER, ALICE)])

    await node.end()

    assert await site.node().snapshot([ROOM, OTHER]) == {ROOM: NOBODY, OTHER: NOBODY}
    assert site.kept() == 0


async def test_what_an_engine_has_forgotten_can_be_said_again(site: Site) -> None:
    node = site.node()
    await node.join(on(ROOM, ALICE))

    site.forget()
    await node.renew()
    forgotten = await users(node)
    await node.join(on(ROOM, ALICE))

    assert forgotten == frozenset()
    assert await users(node) == {ALICE}


@SHARED
async def test_each_node_is_told_who_is_here_and_who_elsewhere(site: Site) -> None:
    one, two = site.node(), site.node()

    await one.join(on(ROOM, ALICE))
    await two.join(on(ROOM, ALICE, BOB))

    alice, both = frozenset({ALICE}), frozenset({ALICE, BOB})
    assert await one.snapshot([ROOM]) == {ROOM: Attendance(here=alice, elsewhere=both)}
    assert await two.snapshot([ROOM]) == {ROOM: Attendance(here=both, elsewhere=alice)}


@SHARED
async def test_a_user_on_two_nodes_is_there_until_both_say_otherwise(site: Site) -> None:
    one, two = site.node(), site.node()
    await one.join(on(ROOM, ALICE))
    await two.join(on(ROOM, ALICE))

    await one.leave(on(ROOM, ALICE))
    still = await users(one)
    await two.end()

    assert still == {ALICE}
    assert await users(one) == frozenset()


@SHARED
async def test_the_users_of_a_node_that_fell_silent_are_gone(site: Site) -> None:
    silent, lives = site.node(SHORT_SECONDS), site.node()
    await silent.join(on(ROOM, ALICE))
    await lives.join(on(ROOM, BOB))

    await until(lives, {BOB})
    await lives.renew()

    assert site.kept() == 1


@SHARED
async def test_a_node_that_renews_keeps_its_users(site: Site) -> None:
    renews, silent, asks = site.node(1), site.node(1), site.node()
    await renews.join(on(ROOM, ALICE))
    await silent.join(on(ROOM, BOB))

    while BOB in (there := await users(asks)):
        await renews.renew()

    assert there == {ALICE}


@SHARED
async def test_a_node_that_was_given_up_may_come_back(site: Site) -> None:
    silent, lives = site.node(SHORT_SECONDS), site.node()
    await silent.join(on(ROOM, ALICE))
    await until(lives, set())
    await lives.renew()

    await silent.join(on(ROOM, ALICE, BOB))

    assert await users(lives) == {ALICE, BOB}


@pytest.mark.parametrize("engine", ["postgres", "valkey"])
async def test_an_engine_that_cannot_be_reached_says_so(
    engine: str, database_url: str, server: TestValkey
) -> None:
    async with opened(database_url) as connections:
        client = ValkeyClient(f"valkey://127.0.0.1:{free_port()}/0")
        node: Presence = ValkeyPresence(client)
        if engine == "postgres":
            node = PostgresPresence(Database(connections))
            await connections._pool.close()
        calls = [
            node.join(on(ROOM, ALICE)),
            node.leave(on(ROOM, ALICE)),
            node.snapshot([ROOM]),
            node.renew(),
            node.end(),
        ]

        for call in calls:
            with pytest.raises(Unavailable):
                await call


async def until(node: Presence, expected: set[UserId]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await users(node) != expected:  # noqa: ASYNC110 - a lease that ends tells nobody
            await asyncio.sleep(0.01)

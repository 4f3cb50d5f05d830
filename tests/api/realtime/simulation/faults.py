"""Faults to plant in the realtime layer: each is a mistake that somebody could really make.

A fault is a function that patches the code under test, named after what it breaks. Several undo a
mend of something that the simulation had found.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any
from weakref import WeakSet

import pytest

from platform_api.realtime import endpoint, session
from platform_api.realtime.close_codes import CloseCode
from platform_api.realtime.encoder import EncodedEvents, event_message
from platform_api.realtime.endpoint import Realtime
from platform_api.realtime.messages import (
    ClientMessage,
    Done,
    PositionView,
    Reply,
    Subscribe,
    Subscribed,
)
from platform_api.realtime.outbox import Outbox, OutboxFull, Text
from platform_api.realtime.replies import Replies
from platform_api.realtime.session import Incoming, Session
from platform_api.realtime.sockets import Sockets, _discard
from platform_api.realtime.subscriptions import Subscriptions
from platform_api.realtime.topic import SlowPolicy
from platform_domain.event_bus import Delivery, Position, Replay
from platform_domain.events import Event, TopicName
from platform_domain.identity import Identity, UserId

Patch = pytest.MonkeyPatch
Fault = Callable[[Patch], None]
FAULTS: list[Fault] = []


def plantable(fault: Fault) -> Fault:
    FAULTS.append(fault)
    return fault


@plantable
def room_is_checked_before_an_await(patch: Patch) -> None:
    admit, join = Realtime._admit, Sockets.join

    async def admit_and_check(self: Realtime, scope: Any) -> Identity:
        identity = await admit(self, scope)
        self._sockets.check_room(identity.user)
        await asyncio.sleep(0)
        return identity

    def join_unchecked(self: Sockets, *args: Any) -> Session:
        with Patch.context() as inner:
            inner.setattr(self, "check_room", lambda user: None)
            return join(self, *args)

    patch.setattr(Realtime, "_admit", admit_and_check)
    patch.setattr(Sockets, "join", join_unchecked)


@plantable
def a_user_entry_leaks(patch: Patch) -> None:
    def leave(self: Sockets, left: Session) -> None:
        for topic in list(left.topics):
            self.exit(left, topic)
        self._all.pop(left.id, None)
        self._by_user[left.identity.user].discard(left)
        if self._draining and not self._all:
            self._emptied.set()

    patch.setattr(Sockets, "leave", leave)


@plantable
def a_task_leaks(patch: Patch) -> None:
    cancelled = session._cancelled

    async def all_but_handlers(tasks: set[asyncio.Task[None]]) -> None:
        await cancelled({task for task in tasks if not task.get_name().endswith("handler")})

    patch.setattr(session, "_cancelled", all_but_handlers)


@plantable
def a_slow_client_is_skipped(patch: Patch) -> None:
    put = Outbox.put

    def put_if_it_fits(self: Outbox, text: Text, slow: SlowPolicy = SlowPolicy.DISCONNECT) -> int:
        with suppress(OutboxFull):
            return put(self, text, slow)
        return 0

    patch.setattr(Outbox, "put", put_if_it_fits)


@plantable
def a_drop_is_not_counted(patch: Patch) -> None:
    drop_oldest = Outbox._drop_oldest

    def drop(self: Outbox, topic: str | None) -> bool:
        dropped = drop_oldest(self, topic)
        if topic is not None:
            self._dropped.pop(topic, None)
        return dropped

    patch.setattr(Outbox, "_drop_oldest", drop)


@plantable
def an_outbox_has_no_bound(patch: Patch) -> None:
    patch.setattr(Outbox, "_fits", lambda self, text: True)


@plantable
def bytes_are_not_given_back(patch: Patch) -> None:
    take = Outbox.take

    def take_without_counting(self: Outbox) -> Text | None:
        before = self._bytes
        text = take(self)
        self._bytes = before
        return text

    patch.setattr(Outbox, "take", take_without_counting)


@plantable
def live_events_come_before_the_missed_ones(patch: Patch) -> None:
    async def subscribe(self: Realtime, to: Session, message: Subscribe) -> None:
        topics, topic = self._contract.topics, message.topic
        await topics.authorise(topic, to.identity)
        since = Position(message.since.epoch, message.since.offset) if message.since else None
        joined = await self._subscriptions.subscribe(to, topic, topics.slow(topic), since)
        place = PositionView.of(joined.position)
        to.tell(Subscribed(id=message.id, topic=topic, position=place, recovered=joined.recovered))
        await asyncio.sleep(0.3)
        for delivery in joined.missed:
            to.tell_text(event_message(delivery))

    patch.setattr(Realtime, "_subscribe", subscribe)


@plantable
def direct_frames_overtake_what_waits(patch: Patch) -> None:
    def write(self: Session, text: Text) -> bool:
        return self._direct is not None and self.close_code is None and self._direct(text.frame)

    patch.setattr(Session, "_write_directly", write)


@plantable
def a_drain_takes_late_joiners(patch: Patch) -> None:
    check = Sockets.check_room

    def check_room(self: Sockets, user: UserId) -> None:
        draining, self._draining = self._draining, False
        check(self, user)
        self._draining = draining

    patch.setattr(Sockets, "check_room", check_room)


@plantable
def a_drain_waits_for_nobody(patch: Patch) -> None:
    async def drain(self: Sockets) -> None:
        self._draining = True
        for each in list(self._all.values()):
            each.close(CloseCode.SERVICE_RESTART)

    patch.setattr(Sockets, "drain", drain)
    patch.setattr(session, "GOODBYE_SECONDS", 5.0)


@plantable
def an_unsubscribe_is_lost(patch: Patch) -> None:
    async def end_unheard(self: Subscriptions, topic: str) -> None:
        """Let the engine go on."""

    patch.setattr(Subscriptions, "_end_unheard", end_unheard)


@plantable
def topics_change_without_a_lock(patch: Patch) -> None:
    patch.setattr(Subscriptions, "_lock", lambda self, topic: asyncio.Lock())


@plantable
def a_topic_keeps_who_left(patch: Patch) -> None:
    def leave(self: Sockets, left: Session) -> None:
        self._all.pop(left.id, None)
        _discard(self._by_user, left.identity.user, left)
        if self._draining and not self._all:
            self._emptied.set()

    patch.setattr(Sockets, "leave", leave)


@plantable
def a_hole_in_the_numbers_is_not_seen(patch: Patch) -> None:
    deliver = Subscriptions._deliver

    def deliver_anything(self: Subscriptions, delivery: Delivery) -> None:
        place = self._positions.get(delivery.topic)
        if place is not None and delivery.position.offset > place.offset:
            self._tell(delivery)
        else:
            deliver(self, delivery)

    patch.setattr(Subscriptions, "_deliver", deliver_anything)


@plantable
def a_reset_is_not_told(patch: Patch) -> None:
    def reset(self: Subscriptions, topic: str, head: Position) -> None:
        self._positions[topic] = head

    patch.setattr(Subscriptions, "_reset", reset)


@plantable
def an_interruption_is_ignored(patch: Patch) -> None:
    patch.setattr(Subscriptions, "_fall_behind", lambda self, topic: None)


@plantable
def who_resumed_ahead_hears_twice(patch: Patch) -> None:
    tell = Subscriptions._tell

    def tell_all(self: Subscriptions, delivery: Delivery) -> None:
        self._ahead.clear()
        tell(self, delivery)

    patch.setattr(Subscriptions, "_tell", tell_all)


@plantable
def who_resumed_ahead_is_never_forgotten(patch: Patch) -> None:
    patch.setattr(Subscriptions, "_forget_ahead", lambda self, session, topic: None)


@plantable
def a_replay_is_told_to_who_came_meanwhile(patch: Patch) -> None:
    async def replay(self: Subscriptions, topic: str) -> None:
        place = self._positions[topic]
        if place is None:
            await asyncio.sleep(0.01)
            return
        found: Replay = await self._bus.replay(TopicName(topic), place)
        if topic in self._catching_up:
            self._apply(topic, found)

    patch.setattr(Subscriptions, "_replay", replay)


@plantable
def a_subscription_outlives_who_asked_for_it(patch: Patch) -> None:
    async def subscribe(
        self: Subscriptions, who: Session, topic: str, slow: SlowPolicy, since: Position | None
    ) -> Any:
        async with self._lock(topic):
            joined = await self._join(who, topic, slow, since)
        return joined

    patch.setattr(Subscriptions, "subscribe", subscribe)


@plantable
def publishing_waits_for_the_slowest(patch: Patch) -> None:
    everybody: WeakSet[Sockets] = WeakSet()
    init, publish = Sockets.__init__, EncodedEvents.publish

    def init_and_tell(self: Sockets, *args: Any) -> None:
        init(self, *args)
        everybody.add(self)

    async def publish_and_wait(self: EncodedEvents, topic: TopicName, event: Event) -> None:
        await publish(self, topic, event)
        for listener in [each for sockets in everybody for each in sockets.of_topic(topic)]:
            while not listener._outbox.is_empty and listener.close_code is None:  # noqa: ASYNC110
                await asyncio.sleep(0.1)

    patch.setattr(Sockets, "__init__", init_and_tell)
    patch.setattr(EncodedEvents, "publish", publish_and_wait)


@plantable
def a_second_cancellation_leaves_tasks_behind(patch: Patch) -> None:
    async def cancelled(tasks: set[asyncio.Task[None]]) -> None:
        while tasks:
            for task in tasks:
                task.cancel()
            _, tasks = await asyncio.wait(tasks, timeout=session.CANCEL_SECONDS)

    patch.setattr(session, "_cancelled", cancelled)


@plantable
def a_swallowed_cancellation_is_not_repeated(patch: Patch) -> None:
    async def cancelled(tasks: set[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=session.CANCEL_SECONDS)

    patch.setattr(session, "_cancelled", cancelled)


@plantable
def a_message_is_handled_on_two_sockets_at_once(patch: Patch) -> None:
    async def once(
        self: Replies,
        user: UserId,
        message: ClientMessage,
        handle: Callable[[], Awaitable[Reply | None]],
    ) -> Reply:
        key = (user, message.id)
        if key not in self._replies:
            self._keep(key, message, await handle() or Done())
        return self._replies[key][1]

    patch.setattr(Replies, "once", once)


@plantable
def a_refused_message_is_not_named(patch: Patch) -> None:
    def refuse(told: Session, incoming: Incoming) -> None:
        told.tell(endpoint._error_message(endpoint.TooManyMessages()))

    patch.setattr(endpoint, "_refuse", refuse)


@plantable
def the_last_of_several_messages_is_not_handled(patch: Patch) -> None:
    async def handle(self: Session, one: session.Handle) -> None:
        while self._inbox:
            await one(self, self._inbox.pop(0))
            if len(self._inbox) == 1:
                self._inbox.clear()
        self._handler = None

    patch.setattr(Session, "_handle", handle)


@plantable
def closed_without_a_documented_code(patch: Patch) -> None:
    patch.setattr(session, "CloseCode", SimpleNamespace(SLOW_CONSUMER=4999, TOO_MANY_MESSAGES=4998))

"""`Sockets` against a model so simple that it is plainly right, by any order of calls."""

import asyncio
from collections import defaultdict
from random import Random

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from platform_api.errors import ShuttingDown
from platform_api.realtime.close_codes import CloseCode
from platform_api.realtime.outbox import Text
from platform_api.realtime.session import Session
from platform_api.realtime.sockets import Sockets, SocketsFull, TooManySockets
from platform_config import SocketsSettings
from platform_domain.errors import DomainError
from platform_domain.identity import UserId
from tests.api.realtime.peers import Peer, joined
from tests.api.realtime.simulation.faults import (
    Fault,
    a_drain_takes_late_joiners,
    a_topic_keeps_who_left,
    a_user_entry_leaks,
)
from tests.api.realtime.simulation.loop import VirtualLoop

LIMITS = SocketsSettings(max=5, max_per_user=2, drain_window=0.3)
USERS = st.sampled_from(["alice", "bob", "carol"])
TOPICS = st.sampled_from(["a", "b"])
SETTINGS = settings(
    max_examples=150, stateful_step_count=30, deadline=None, database=None, derandomize=True
)
ONLY_FIND = (Phase.generate,)


class SocketsMachine(RuleBasedStateMachine):
    """The model: a user and some topics for each socket, and whether we drain."""

    sessions: Bundle[Session] = Bundle("sessions")

    def __init__(self) -> None:
        super().__init__()
        self.sockets = Sockets(LIMITS)
        self.users: dict[Session, str] = {}
        self.topics: defaultdict[str, set[Session]] = defaultdict(set)
        self.told: defaultdict[Session, int] = defaultdict(int)
        self.drained = False

    @rule(target=sessions, user=USERS)
    def join(self, user: str) -> Session | MultipleResults[Session]:
        refusal, outcome = self._refusal(user), self._outcome_of_joining(user)
        if refusal is not None:
            assert outcome is refusal
            return multiple()
        assert isinstance(outcome, Session)
        self.users[outcome] = user
        return outcome

    @rule(session=consumes(sessions), twice=st.booleans())
    def leave(self, session: Session, twice: bool) -> None:
        for _ in range(1 + twice):
            self.sockets.leave(session)
        self._forget(session)

    @rule(session=sessions, topic=TOPICS)
    def enter(self, session: Session, topic: str) -> None:
        if session in self.users:
            self.sockets.enter(session, topic)
            self.topics[topic].add(session)

    @rule(session=sessions, topic=TOPICS)
    def exit(self, session: Session, topic: str) -> None:
        self.sockets.exit(session, topic)
        self.topics[topic].discard(session)

    @rule(topic=TOPICS)
    def tell(self, topic: str) -> None:
        self.sockets.tell(topic, Text(b"{}", topic))
        for session in self.topics[topic]:
            self.told[session] += 1

    @rule(topic=TOPICS, but=sessions)
    def tell_all_but_one(self, topic: str, but: Session) -> None:
        self.sockets.tell(topic, Text(b"{}", topic), except_for=[but])
        for session in self.topics[topic] - {but}:
            self.told[session] += 1

    @precondition(lambda self: not self.drained)
    @rule()
    def drain(self) -> None:
        VirtualLoop(Random(1)).run(self._drain())
        self.drained = True

    @invariant()
    def the_books_are_right(self) -> None:
        assert len(self.sockets) == len(self.users)
        for user in ("alice", "bob", "carol"):
            expected = {session for session, its in self.users.items() if its == user}
            assert self.sockets.of_user(UserId(user)) == expected
        for topic in ("a", "b"):
            assert self.sockets.of_topic(topic) == self.topics[topic]
            assert self.sockets.is_heard(topic) == bool(self.topics[topic])

    @invariant()
    def nothing_is_kept_of_who_is_gone(self) -> None:
        assert self.sockets._by_user.keys() == set(self.users.values())
        heard = {topic for topic, listeners in self.topics.items() if listeners}
        assert self.sockets._by_topic.keys() == self.sockets._slow.keys() == heard

    @invariant()
    def exactly_the_listeners_were_told(self) -> None:
        for session in self.users:
            assert len(session._outbox._waiting) == self.told[session]

    def _refusal(self, user: str) -> type[DomainError] | None:
        if self.drained:
            return ShuttingDown
        if len(self.users) >= LIMITS.max:
            return SocketsFull
        if list(self.users.values()).count(user) >= LIMITS.max_per_user:
            return TooManySockets
        return None

    def _outcome_of_joining(self, user: str) -> Session | type[DomainError]:
        try:
            return joined(self.sockets, Peer(), user)
        except DomainError as error:
            return type(error)

    def _forget(self, session: Session) -> None:
        self.users.pop(session, None)
        for listeners in self.topics.values():
            listeners.discard(session)

    async def _drain(self) -> None:
        draining = asyncio.create_task(self.sockets.drain())
        await asyncio.sleep(LIMITS.drain_window)
        for session in list(self.users):
            assert not draining.done(), "somebody is still there"
            assert session.close_code == CloseCode.SERVICE_RESTART
            self.sockets.leave(session)
            self._forget(session)
        await draining


def caps_are_not_checked(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Sockets, "check_room", lambda self, user: None)


def a_topic_keeps_its_policy(patch: pytest.MonkeyPatch) -> None:
    def exit(self: Sockets, session: Session, topic: str) -> None:
        session.topics.discard(topic)
        listeners = self._by_topic.get(topic, set())
        listeners.discard(session)
        if not listeners:
            self._by_topic.pop(topic, None)

    patch.setattr(Sockets, "exit", exit)


def who_knows_is_told_again(patch: pytest.MonkeyPatch) -> None:
    def tell(self: Sockets, topic: str, text: Text, except_for: object = ()) -> None:
        for session in self.of_topic(topic):
            session.tell_text(text)

    patch.setattr(Sockets, "tell", tell)


def test_sockets_agree_with_a_simple_model() -> None:
    run_state_machine_as_test(SocketsMachine, settings=SETTINGS)


@pytest.mark.parametrize(
    "fault",
    [
        caps_are_not_checked,
        a_topic_keeps_its_policy,
        who_knows_is_told_again,
        a_user_entry_leaks,
        a_topic_keeps_who_left,
        a_drain_takes_late_joiners,
    ],
    ids=lambda fault: fault.__name__,
)
def test_a_planted_fault_is_found(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    fault(monkeypatch)

    with pytest.raises(AssertionError):
        run_state_machine_as_test(SocketsMachine, settings=settings(SETTINGS, phases=ONLY_FIND))

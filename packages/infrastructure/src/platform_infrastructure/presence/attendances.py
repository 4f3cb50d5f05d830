"""Puts together what an engine has kept: a line for each user, topic and node."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from platform_domain.events import TopicName
from platform_domain.identity import UserId
from platform_domain.presence import Attendance


def attendances(
    topics: Collection[TopicName], kept: Iterable[tuple[str, str, bool]]
) -> Mapping[TopicName, Attendance]:
    """Return the attendance of each topic; `kept` has topic, user, and whether it was this node
    that said so."""
    here: defaultdict[str, set[UserId]] = defaultdict(set)
    elsewhere: defaultdict[str, set[UserId]] = defaultdict(set)
    for topic, user, is_here in kept:
        (here if is_here else elsewhere)[topic].add(UserId(user))
    return {
        topic: Attendance(frozenset(here[topic]), frozenset(elsewhere[topic])) for topic in topics
    }

"""Whether a query says what it means to break each constraint that a caller can break."""

from collections.abc import Iterator

from platform_infrastructure.postgres.verification.scope import Scope
from platform_infrastructure.postgres.verification.verified import QueryClass
from platform_infrastructure.postgres.verification.writes import (
    Breakable,
    breakable,
    null_problems,
    writes,
)


def constraints(scope: Scope) -> list[Breakable]:
    """Return the constraints that a caller can break, each once, by name."""
    found = {each.name: each for write in writes(scope) for each in breakable(write)}
    return [found[name] for name in sorted(found)]


def write_problems(query: QueryClass, scope: Scope, found: list[Breakable]) -> Iterator[str]:
    """Yield what is wrong with what is written, and with `raises` and `unbreakable`."""
    for write in writes(scope):
        yield from null_problems(write)
    for each in found:
        if each.name not in query.raises and each.name not in query.unbreakable:
            yield (
                f"a caller can break {each.name} ({each.kind}): name it in `raises`,"
                " or in `unbreakable` with a reason"
            )
    yield from _name_problems(query, scope)


def _name_problems(query: QueryClass, scope: Scope) -> Iterator[str]:
    for where, names in (("raises", query.raises), ("unbreakable", query.unbreakable)):
        for name in sorted(names):
            if not scope.context.catalog.constraint_exists(name):
                yield f"`{where}` names {name}, but there is no such constraint"
    for name in sorted(set(query.raises) & set(query.unbreakable)):
        yield f"{name} is in `raises` and in `unbreakable`"

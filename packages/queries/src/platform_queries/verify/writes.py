"""What a statement writes: columns that reject NULL, and constraints that a caller can break."""

from collections.abc import Iterator
from dataclasses import dataclass

from platform_queries.lock import Nullable, QueryClass
from platform_queries.verify.catalog import TABLES, Catalog, Column
from platform_queries.verify.scope import Scope
from platform_queries.verify.tree import CmdType, Node

REFUSING = ("a", "r")  # NO ACTION, RESTRICT
DO_NOTHING = 1  # OnConflictAction
UNIQUE_KINDS = ("p", "u", "x")
KINDS = {"p": "PRIMARY KEY", "u": "UNIQUE", "x": "EXCLUDE", "c": "CHECK", "f": "FOREIGN KEY"}
DOMAIN_CHECK, REFERENCED = "CHECK of a domain", "FOREIGN KEY of another table"


@dataclass(frozen=True, slots=True)
class Write:
    """One command on one table. `values` are what each column is set to."""

    scope: Scope
    relation: int
    command: int
    values: dict[int, Node]
    spared: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Breakable:
    """A constraint that a caller can break; `kind` in words."""

    name: str
    kind: str


def writes(scope: Scope) -> Iterator[Write]:
    """Yield what the statement writes, in its CTEs too."""
    query = scope.query
    for cte in query.nodes("cteList"):
        yield from writes(scope.inner(cte.child("ctequery")))
    if query.number("resultRelation"):
        yield from _of_query(scope, scope.relation(query.number("resultRelation")).number("relid"))


def null_problems(write: Write) -> Iterator[str]:
    """Yield a sentence for each column that takes no NULL but may get one."""
    catalog = write.scope.context.catalog
    relation = catalog.relation(write.relation)
    columns = catalog.columns(write.relation)
    for number, value in write.values.items():
        column = columns[number]
        verdict = write.scope.verdict(value)
        can_be_null = verdict.of_parameter and verdict.nullable is Nullable.CAN
        if can_be_null and _requires_value(catalog, column):
            yield f"{verdict.reason}, but {relation.name}.{column.name} is NOT NULL"
    if write.command == CmdType.INSERT and not relation.fills and relation.kind in TABLES:
        yield from _unset(catalog, write)


def breakable(write: Write) -> list[Breakable]:
    """Return the constraints that a caller can break by this."""
    catalog = write.scope.context.catalog
    free = {number for number, value in write.values.items() if _is_free(write, value)}
    found = [
        Breakable(constraint.name, KINDS[constraint.kind])
        for constraint in catalog.constraints(write.relation)
        if free.intersection(constraint.columns) and constraint.name not in write.spared
    ]
    columns = catalog.columns(write.relation)
    found += [
        Breakable(name, DOMAIN_CHECK)
        for number in sorted(free)
        for name in catalog.domain_checks(columns[number].type)
    ]
    found += [Breakable(name, REFERENCED) for name in _references(catalog, write, free)]
    return found


def _of_query(scope: Scope, relation: int) -> Iterator[Write]:
    query = scope.query
    command = query.number("commandType")
    if command == CmdType.MERGE:
        for action in query.nodes("mergeActionList"):
            yield Write(
                scope, relation, action.number("commandType"), _values(action, "targetList")
            )
        return
    conflict = query.node("onConflict")
    spared = _spared(scope.context.catalog, relation, conflict) if conflict else frozenset()
    yield Write(scope, relation, command, _values(query, "targetList"), spared)
    if conflict is not None and conflict.nodes("onConflictSet"):
        yield Write(scope, relation, CmdType.UPDATE, _values(conflict, "onConflictSet"))


def _values(holder: Node, field: str) -> dict[int, Node]:
    return {
        entry.number("resno"): entry.child("expr")
        for entry in holder.nodes(field)
        if not entry.flag("resjunk")
    }


def _spared(catalog: Catalog, relation: int, conflict: Node) -> frozenset[str]:
    """Return the constraints whose violation ON CONFLICT takes care of."""
    unique = [c for c in catalog.constraints(relation) if c.kind in UNIQUE_KINDS]
    if conflict.number("constraint"):
        return frozenset({catalog.constraint_name(conflict.number("constraint"))})
    elements = conflict.nodes("arbiterElems")
    if not elements and conflict.number("action") == DO_NOTHING:
        return frozenset(constraint.name for constraint in unique)
    columns = {v.number("varattno") for e in elements for v in e.walk() if v.kind == "VAR"}
    return frozenset(c.name for c in unique if columns == set(c.columns))


def _requires_value(catalog: Catalog, column: Column) -> bool:
    return column.required or catalog.requires_value(column.type)


def _unset(catalog: Catalog, write: Write) -> Iterator[str]:
    for column in catalog.columns(write.relation).values():
        if column.number in write.values or column.filled or not _requires_value(catalog, column):
            continue
        name = f"{catalog.relation(write.relation).name}.{column.name}"
        yield f"{name} is NOT NULL and has no default, but INSERT does not set it"


def _is_free(write: Write, value: Node) -> bool:
    target = write.scope.query.number("resultRelation")
    return any(
        node.kind in ("PARAM", "SUBLINK") or (node.kind == "VAR" and node.number("varno") != target)
        for node in value.walk()
    )


def _references(catalog: Catalog, write: Write, free: set[int]) -> list[str]:
    if write.command == CmdType.DELETE:
        return sorted(_refusing_deletion(catalog, write.relation, set()))
    if write.command != CmdType.UPDATE:
        return []
    return [
        reference.name
        for reference in catalog.references(write.relation)
        if reference.on_update in REFUSING and free.intersection(reference.columns)
    ]


def _refusing_deletion(catalog: Catalog, relation: int, seen: set[int]) -> set[str]:
    seen.add(relation)
    found: set[str] = set()
    for reference in catalog.references(relation):
        if reference.on_delete in REFUSING:
            found.add(reference.name)
        elif reference.on_delete == "c" and reference.child not in seen:
            found |= _refusing_deletion(catalog, reference.child, seen)
    return found


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

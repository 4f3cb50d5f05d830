"""The columns that a query returns, through set operations and RETURNING."""

from platform_infrastructure.postgres.verification.node_tree import Node
from platform_infrastructure.postgres.verification.scope import Scope
from platform_infrastructure.postgres.verification.verdict import (
    Verdict,
    mildest,
    strictest,
    unknown,
)

SELECT, UPDATE, INSERT, DELETE, MERGE = range(1, 6)  # CmdType


def returned(query: Node) -> list[Node]:
    """Return the TargetEntry of each column that a caller sees."""
    entries = "targetList" if query.number("commandType") == SELECT else "returningList"
    return [entry for entry in query.nodes(entries) if not entry.flag("resjunk")]


def output(scope: Scope, position: int) -> Verdict:
    """Judge column `position` (from 0) of what the query of `scope` returns."""
    operations = scope.query.node("setOperations")
    if operations is not None:
        return _combined(scope, operations, position)
    if _grouping_is_hidden(scope.query):
        return unknown("grouping sets, which only PostgreSQL 18 and later records exactly")
    return scope.verdict(returned(scope.query)[position].node("expr"))


def _grouping_is_hidden(query: Node) -> bool:
    grouped = query.items("groupClause") and query.items("groupingSets")
    return bool(grouped) and not query.flag("hasGroupRTE")


def outputs(scope: Scope) -> list[Verdict]:
    return [output(scope, position) for position in range(len(returned(scope.query)))]


def _combined(scope: Scope, tree: Node, position: int) -> Verdict:
    if tree.kind == "RANGETBLREF":
        subquery = scope.relation(tree.number("rtindex")).child("subquery")
        return output(scope.inner(subquery), position)
    left = _combined(scope, tree.child("larg"), position)
    right = _combined(scope, tree.child("rarg"), position)
    match tree.number("op"):
        case 1:  # SETOP_UNION
            return strictest([left, right], "NOT NULL in every branch")
        case 2:  # SETOP_INTERSECT
            return mildest([left, right], "INTERSECT")
    return left  # EXCEPT returns rows of its first branch.

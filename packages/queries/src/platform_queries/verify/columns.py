"""Nullability of result columns and of references to columns."""

from platform_queries.verify.catalog import TABLES
from platform_queries.verify.scope import Scope
from platform_queries.verify.tree import CmdType, JoinType, Node, RTEKind, SetOperation
from platform_queries.verify.verdict import (
    SETS,
    Verdict,
    can,
    mildest,
    never,
    strictest,
    unknown,
)

OLD, NEW = 1, 2  # VarReturningType
NOT_MATCHED_BY_SOURCE = 1  # MergeMatchKind
PROVEN = "WHERE or ON excludes NULL"


def returned(query: Node) -> list[Node]:
    """Return the TargetEntry of each column that a caller sees."""
    entries = "targetList" if query.number("commandType") == CmdType.SELECT else "returningList"
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
        case SetOperation.UNION:
            return strictest([left, right], "NOT NULL in every branch")
        case SetOperation.INTERSECT:
            return mildest([left, right], "INTERSECT")
    return left  # EXCEPT returns rows of its first branch.


def variable(scope: Scope, node: Node) -> Verdict:
    """Judge a column reference; its level says how many queries further out it is found."""
    scope = scope.up(node.number("varlevelsup"))
    if missing := _missing_version(scope.query, node.number("varreturningtype")):
        return can(missing)
    nulling = scope.facts.nulling(node) - scope.joined
    if nulling:
        return can(_nulled_by(scope, nulling))
    verdict = _of_entry(scope, node)
    return never(PROVEN) if not verdict.is_never and _is_proven(scope, node) else verdict


def _missing_version(query: Node, version: int) -> str:
    """Say when RETURNING's `old` or `new` (PostgreSQL 18) may have no row at all."""
    command = query.number("commandType")
    if version == OLD and (command == CmdType.INSERT or _merge_inserts(query)):
        return "no old row where one was inserted"
    if version == NEW and (command == CmdType.DELETE or _merge_deletes(query)):
        return "no new row where one was deleted"
    return ""


def _merge_inserts(query: Node) -> bool:
    return any(
        action.number("commandType") == CmdType.INSERT for action in query.nodes("mergeActionList")
    )


def _merge_deletes(query: Node) -> bool:
    return any(
        action.number("commandType") == CmdType.DELETE for action in query.nodes("mergeActionList")
    )


def _nulled_by(scope: Scope, nulling: frozenset[int]) -> str:
    kinds = {scope.relation(number).number("rtekind") for number in nulling}
    return "grouping sets" if RTEKind.GROUP in kinds else "outer join"


def _is_proven(scope: Scope, node: Node) -> bool:
    column = (node.number("varno"), node.number("varattno"))
    if column not in scope.facts.columns:
        return False
    # WHERE saw the row as it was before the UPDATE.
    is_target = node.number("varno") == scope.query.number("resultRelation")
    return not (is_target and scope.query.number("commandType") in (CmdType.UPDATE, CmdType.MERGE))


def _of_entry(scope: Scope, node: Node) -> Verdict:
    number, column = node.number("varno"), node.number("varattno")
    if scope.query.number("commandType") == CmdType.MERGE and _may_lack_source(scope, number):
        return can("no source row where MERGE acts on what is not matched by it")
    entry = scope.relation(number)
    match entry.number("rtekind"):
        case RTEKind.RELATION:
            return _of_relation(scope, entry, number, column)
        case RTEKind.SUBQUERY:
            return output(scope.inner(entry.child("subquery")), column - 1)
        case RTEKind.JOIN:
            return _of_join(scope, entry, number, column)
        case RTEKind.FUNCTION:
            return _of_function(scope, entry, column)
        case RTEKind.VALUES:
            rows = [row[column - 1] for row in entry.items("values_lists")]
            return strictest(scope.verdicts(rows), "NOT NULL in every row of VALUES")
        case RTEKind.CTE:
            return _of_cte(scope, entry, column)
        case RTEKind.GROUP:
            return scope.verdict(entry.nodes("groupexprs")[column - 1])
    return unknown("a row source that the verifier does not know")


def _may_lack_source(scope: Scope, number: int) -> bool:
    return number != scope.query.number("resultRelation") and any(
        action.number("matchKind") == NOT_MATCHED_BY_SOURCE
        for action in scope.query.nodes("mergeActionList")
    )


def _of_relation(scope: Scope, entry: Node, number: int, column: int) -> Verdict:
    catalog, oid = scope.context.catalog, entry.number("relid")
    relation = catalog.relation(oid)
    if relation.kind == "v":
        return _of_view(scope, oid, number, column)
    if relation.kind not in TABLES:
        return unknown(f"{relation.name} is no table: nothing enforces NOT NULL there")
    if column < 0:
        return never("system column")
    if column == 0:
        return unknown("a whole row")
    return _of_table(scope, oid, column)


def _of_table(scope: Scope, oid: int, column: int) -> Verdict:
    catalog = scope.context.catalog
    found = catalog.columns(oid)[column]
    if found.never_null:
        return never("NOT NULL column")
    if found.required:
        return unknown("NOT NULL that is not valid for all rows or tables that inherit")
    if catalog.requires_value(found.type):
        # An empty scalar subquery gets NULL past a domain: CREATE DOMAIN, Notes.
        return unknown("NOT NULL domain, which PostgreSQL does not enforce everywhere")
    return can("nullable column")


def _of_view(scope: Scope, oid: int, number: int, column: int) -> Verdict:
    if number == scope.query.number("resultRelation"):
        return unknown("a view that is written to")
    verdict = output(scope.apart(scope.context.catalog.view(oid)), column - 1)
    return Verdict(verdict.nullable, f"view: {verdict.reason}")


def _of_join(scope: Scope, entry: Node, number: int, column: int) -> Verdict:
    if column > entry.number("joinmergedcols"):
        return unknown("a column of a join that is not merged")
    merged = entry.nodes("joinaliasvars")[column - 1]
    if entry.number("jointype") != JoinType.FULL:
        return scope.verdict(merged)
    # Each row of a full join has at least one of the two, but not always the same one.
    sides = scope.matched(number).verdicts(merged.nodes("args"))
    return strictest(sides, "USING: NOT NULL on both sides")


def _of_function(scope: Scope, entry: Node, column: int) -> Verdict:
    functions = entry.nodes("functions")
    if len(functions) != 1:
        return unknown("several functions in FROM")
    width = functions[0].number("funccolcount")
    if column > width and entry.flag("funcordinality"):
        return never("WITH ORDINALITY")
    call = functions[0].child("funcexpr")
    if call.flag("funcretset") and call.kind == "FUNCEXPR":
        function = scope.context.catalog.function(call.number("funcid"))
        if function.builtin and function.name in SETS:
            return never(f"rows of {function.name}")
        return unknown(f"rows of {function.name}")
    return scope.verdict(call) if width == 1 else unknown("a function in FROM")


def _of_cte(scope: Scope, entry: Node, column: int) -> Verdict:
    holder = scope.up(entry.number("ctelevelsup"))
    name = entry.text("ctename")
    cte = next(c for c in holder.query.nodes("cteList") if c.text("ctename") == name)
    if cte.flag("cterecursive"):
        return unknown("recursive CTE")
    return output(holder.inner(cte.child("ctequery")), column - 1)

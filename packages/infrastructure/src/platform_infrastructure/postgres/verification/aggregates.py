"""Aggregates, window functions and subqueries: where the number of rows decides."""

from platform_infrastructure.postgres.verification import known
from platform_infrastructure.postgres.verification.node_tree import Node
from platform_infrastructure.postgres.verification.outputs import SELECT, output, outputs
from platform_infrastructure.postgres.verification.scope import Scope
from platform_infrastructure.postgres.verification.verdict import (
    Verdict,
    can,
    never,
    strictest,
    unknown,
)

EXISTS, ALL, ANY, _ROW_COMPARISON, EXPRESSION, _MULTIPLE, ARRAY = range(7)  # SubLinkType
NON_DEFAULT_FRAME = 1  # FRAMEOPTION_NONDEFAULT
MAYBE_NO_VALUE = "aggregate, which may have no value to work on"


def aggregate(scope: Scope, node: Node) -> Verdict:
    function = scope.context.catalog.function(node.number("aggfnoid"))
    if not function.builtin:
        return unknown(f"aggregate {function.name}")
    if function.name in known.AGGREGATES:
        return never(f"{function.name}, 0 over no rows")
    if node.number("agglevelsup") or not _groups_have_rows(scope.query):
        return can(MAYBE_NO_VALUE)
    return _over_rows(scope, node, function.name, "aggfilter", "of each group")


def window_function(scope: Scope, node: Node) -> Verdict:
    function = scope.context.catalog.function(node.number("winfnoid"))
    if not function.builtin:
        return unknown(f"window function {function.name}")
    if function.name in known.WINDOW_FUNCTIONS | known.AGGREGATES:
        return never(function.name)
    if function.name == "ntile":
        return strictest(scope.verdicts(node.nodes("args")), "ntile")
    if function.name in ("lag", "lead"):
        return _lag(scope, node, function.name)
    if not _frame_has_current_row(scope.query, node):
        return can("window function, whose frame may be empty")
    return _over_rows(scope, node, function.name, "aggfilter", "of each frame")


def subquery(scope: Scope, node: Node) -> Verdict:
    kind, query = node.number("subLinkType"), node.child("subselect")
    inner = scope.inner(query)
    if kind == EXISTS:
        return never("EXISTS")
    if kind == ARRAY:
        return never("ARRAY of a subquery, empty over no rows")
    if kind == EXPRESSION:
        return output(inner, 0) if _returns_one_row(query) else can("subquery, maybe without row")
    if kind in (ALL, ANY):
        return _quantified(scope, node, inner)
    return unknown("a subquery compared with a row")


def _over_rows(scope: Scope, node: Node, name: str, filtered: str, of: str) -> Verdict:
    if node.node(filtered) is not None:
        return can(f"{name} with FILTER, which may leave no value")
    if name in known.AGGREGATES_OF_ROWS:
        return never(f"{name} of at least one row")
    if name in known.AGGREGATES_OF_VALUES or name in ("first_value", "last_value"):
        verdicts = [scope.verdict(_argument(argument)) for argument in node.nodes("args")]
        return strictest(verdicts, f"{name} of NOT NULL values {of}")
    return unknown(f"aggregate {name}")


def _argument(argument: Node) -> Node:
    return argument.child("expr") if argument.kind == "TARGETENTRY" else argument


def _groups_have_rows(query: Node) -> bool:
    """Without GROUP BY there is one group even over no rows; grouping sets may have such a one."""
    return bool(query.items("groupClause")) and not query.items("groupingSets")


def _lag(scope: Scope, node: Node, name: str) -> Verdict:
    arguments = node.nodes("args")
    if len(arguments) < 3:
        return can(f"{name}, which has no row at the end")
    return strictest(scope.verdicts(arguments), f"{name} with a default")


def _frame_has_current_row(query: Node, node: Node) -> bool:
    window = next(
        w for w in query.nodes("windowClause") if w.number("winref") == node.number("winref")
    )
    return not window.number("frameOptions") & NON_DEFAULT_FRAME


def _returns_one_row(query: Node) -> bool:
    """`SELECT count(*) FROM t` and `SELECT 1` do, whatever is in the tables."""
    cut = ("havingQual", "limitCount", "limitOffset", "setOperations")
    if query.number("commandType") != SELECT or query.flag("hasTargetSRFs"):
        return False
    if any(query.node(field) is not None for field in cut) or query.items("groupingSets"):
        return False
    if query.flag("hasAggs"):
        return not query.items("groupClause")
    tree = query.child("jointree")
    return not tree.items("fromlist") and tree.node("quals") is None and not _is_grouped(query)


def _is_grouped(query: Node) -> bool:
    return bool(query.items("groupClause"))


def _quantified(scope: Scope, node: Node, inner: Scope) -> Verdict:
    """`x IN (SELECT y …)` is NULL when it meets a NULL before it meets what it looks for."""
    test = node.child("testexpr")
    if test.kind != "OPEXPR":
        return unknown("a subquery compared with a row")
    compared = [argument for argument in test.nodes("args") if argument.kind != "PARAM"]
    operator = scope.context.catalog.operator(test.number("opno"))
    if not operator.builtin or len(compared) != 1:
        return unknown("a comparison with a subquery")
    return strictest([scope.verdict(compared[0]), *outputs(inner)], "IN of NOT NULL values")

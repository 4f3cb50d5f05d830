"""Nullability of expressions, aggregates, window functions and subqueries."""

from collections.abc import Mapping, Sequence

from platform_queries.lock import Nullable
from platform_queries.verify.catalog import Catalog, Function, Operator
from platform_queries.verify.columns import output, outputs, variable
from platform_queries.verify.scope import Context, Parameter, Rule, Scope
from platform_queries.verify.tree import CmdType, Node, SubLinkType
from platform_queries.verify.verdict import (
    AGGREGATES,
    AGGREGATES_OF_ROWS,
    AGGREGATES_OF_VALUES,
    ALWAYS,
    GEOMETRIC,
    PARTIAL_OPERATORS,
    TOTAL,
    TOTAL_FOR_TEXT,
    WINDOW_FUNCTIONS,
    Verdict,
    can,
    mildest,
    never,
    strictest,
    unknown,
)

JSON_TYPES = (114, 3802)
TEXT_TYPES = (25, 1042, 1043)
TIMESTAMP_TYPES = (1114, 1184)
EXTERNAL_PARAMETER = 0
CASTS = (1, 2)  # CoercionForm: explicit, implicit
CURRENT_SCHEMA = 14


def constant(_scope: Scope, node: Node) -> Verdict:
    return can("NULL") if node.flag("constisnull") else never("constant")


def parameter(scope: Scope, node: Node) -> Verdict:
    found = declared_parameter(scope, node)
    if found is None:
        return unknown("a parameter of PostgreSQL's own")
    if found.optional:
        return Verdict(Nullable.CAN, f"parameter {found.name} may be None", of_parameter=True)
    return never(f"parameter {found.name} is never None")


def declared_parameter(scope: Scope, node: Node) -> Parameter | None:
    number = node.number("paramid")
    if node.number("paramkind") != EXTERNAL_PARAMETER or number > len(scope.context.parameters):
        return None
    return scope.context.parameters[number - 1]


def tested(_scope: Scope, _node: Node) -> Verdict:
    return never("a test that is true or false")


def constructed(_scope: Scope, _node: Node) -> Verdict:
    return never("constructed here")


def relabelled(scope: Scope, node: Node) -> Verdict:
    """A conversion that PostgreSQL itself guarantees to keep NULL and only NULL."""
    return scope.verdict(node.node("arg"))


def coalesced(scope: Scope, node: Node) -> Verdict:
    return mildest(scope.verdicts(node.nodes("args")), "COALESCE")


def greatest(scope: Scope, node: Node) -> Verdict:
    return mildest(scope.verdicts(node.nodes("args")), "GREATEST or LEAST")


def null_if(_scope: Scope, _node: Node) -> Verdict:
    return can("NULLIF")


def case(scope: Scope, node: Node) -> Verdict:
    """A branch may be out of reach when it is NULL, so that it is not known to be taken."""
    branches = [branch.node("result") for branch in node.nodes("args")]
    verdicts = [scope.verdict(branch) for branch in (*branches, node.node("defresult"))]
    worst = strictest(verdicts, "NOT NULL in every branch of CASE")
    return worst if worst.is_never else unknown(f"CASE with a branch: {worst.reason}")


def boolean(scope: Scope, node: Node) -> Verdict:
    return strictest(scope.verdicts(node.nodes("args")), "of NOT NULL values")


def row_comparison(scope: Scope, node: Node) -> Verdict:
    return strictest(
        scope.verdicts(node.nodes("largs") + node.nodes("rargs")), "of NOT NULL values"
    )


def operation(scope: Scope, node: Node) -> Verdict:
    operator = scope.context.catalog.operator(node.number("opno"))
    if not _is_total(operator):
        return unknown(f"operator {operator.name}")
    return strictest(scope.verdicts(node.nodes("args")), f"{operator.name} of NOT NULL values")


def array_operation(scope: Scope, node: Node) -> Verdict:
    operator = scope.context.catalog.operator(node.number("opno"))
    left, right = node.nodes("args")
    if not _is_total(operator):
        return unknown(f"operator {operator.name}")
    verdicts = [scope.verdict(left), scope.verdict(right), _elements(scope, right)]
    return strictest(verdicts, f"{operator.name} of NOT NULL values")


def call(scope: Scope, node: Node) -> Verdict:
    function = scope.context.catalog.function(node.number("funcid"))
    arguments = node.nodes("args")
    if not function.builtin:
        return unknown(f"function {function.name}")
    if node.flag("funcretset"):
        return unknown(f"rows of {function.name}")
    if function.name in ALWAYS and not node.flag("funcvariadic"):
        return never(function.name)
    if node.number("funcformat") in CASTS:
        return _cast(scope, function, arguments)
    is_text = function.name in TOTAL_FOR_TEXT and function.first_argument in TEXT_TYPES
    if is_text or function.name in TOTAL:
        return strictest(scope.verdicts(arguments), f"{function.name} of NOT NULL values")
    return unknown(f"function {function.name}")


def _cast(scope: Scope, function: Function, arguments: list[Node]) -> Verdict:
    """Judge a cast: of JSON's null it is NULL, and so is the time of day of an infinite moment."""
    if function.first_argument in JSON_TYPES:
        return unknown("a cast of JSON, whose null becomes NULL")
    if function.name in ("time", "timetz") and function.first_argument in TIMESTAMP_TYPES:
        return unknown("the time of a moment, which may be infinite")
    return strictest(scope.verdicts(arguments), "a cast of a NOT NULL value")


def sql_value(_scope: Scope, node: Node) -> Verdict:
    if node.number("op") == CURRENT_SCHEMA:
        return can("current_schema without a schema")
    return never("a value of the session")


def _is_total(operator: Operator) -> bool:
    if not operator.builtin or operator.name in PARTIAL_OPERATORS:
        return False
    if operator.name == "@@" and operator.left in JSON_TYPES:
        return False
    return GEOMETRIC not in operator.category


def _elements(scope: Scope, array: Node) -> Verdict:
    """Judge what is in an array; PostgreSQL itself promises nothing about it."""
    if array.kind in ("RELABELTYPE", "ARRAYCOERCEEXPR"):
        return _elements(scope, array.child("arg"))
    if array.kind == "ARRAYEXPR" and not array.flag("multidims"):
        return strictest(scope.verdicts(array.nodes("elements")), "of NOT NULL elements")
    found = declared_parameter(scope, array) if array.kind == "PARAM" else None
    if found is not None and not found.optional_elements:
        return never(f"parameter {found.name} has no None in it")
    return unknown("elements of an array")


NON_DEFAULT_FRAME = 1  # FRAMEOPTION_NONDEFAULT
MAYBE_NO_VALUE = "aggregate, which may have no value to work on"


def aggregate(scope: Scope, node: Node) -> Verdict:
    function = scope.context.catalog.function(node.number("aggfnoid"))
    if not function.builtin:
        return unknown(f"aggregate {function.name}")
    if function.name in AGGREGATES:
        return never(f"{function.name}, 0 over no rows")
    if node.number("agglevelsup") or not _groups_have_rows(scope.query):
        return can(MAYBE_NO_VALUE)
    return _over_rows(scope, node, function.name, "aggfilter", "of each group")


def window_function(scope: Scope, node: Node) -> Verdict:
    function = scope.context.catalog.function(node.number("winfnoid"))
    if not function.builtin:
        return unknown(f"window function {function.name}")
    if function.name in WINDOW_FUNCTIONS | AGGREGATES:
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
    if kind == SubLinkType.EXISTS:
        return never("EXISTS")
    if kind == SubLinkType.ARRAY:
        return never("ARRAY of a subquery, empty over no rows")
    if kind == SubLinkType.EXPRESSION:
        return output(inner, 0) if _returns_one_row(query) else can("subquery, maybe without row")
    if kind in (SubLinkType.ALL, SubLinkType.ANY):
        return _quantified(scope, node, inner)
    return unknown("a subquery compared with a row")


def _over_rows(scope: Scope, node: Node, name: str, filtered: str, of: str) -> Verdict:
    if node.node(filtered) is not None:
        return can(f"{name} with FILTER, which may leave no value")
    if name in AGGREGATES_OF_ROWS:
        return never(f"{name} of at least one row")
    if name in AGGREGATES_OF_VALUES or name in ("first_value", "last_value"):
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
    if query.number("commandType") != CmdType.SELECT or query.flag("hasTargetSRFs"):
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


RULES: Mapping[str, Rule] = {
    "VAR": variable,
    "CONST": constant,
    "PARAM": parameter,
    "NULLTEST": tested,
    "BOOLEANTEST": tested,
    "DISTINCTEXPR": tested,
    "ARRAYEXPR": constructed,
    "ROWEXPR": constructed,
    "GROUPINGFUNC": constructed,
    "NEXTVALUEEXPR": constructed,
    "MERGESUPPORTFUNC": constructed,
    "RELABELTYPE": relabelled,
    "COLLATEEXPR": relabelled,
    "COERCEVIAIO": relabelled,
    "COERCETODOMAIN": relabelled,
    "ARRAYCOERCEEXPR": relabelled,
    "CONVERTROWTYPEEXPR": relabelled,
    "COALESCEEXPR": coalesced,
    "MINMAXEXPR": greatest,
    "NULLIFEXPR": null_if,
    "CASEEXPR": case,
    "BOOLEXPR": boolean,
    "ROWCOMPAREEXPR": row_comparison,
    "OPEXPR": operation,
    "SCALARARRAYOPEXPR": array_operation,
    "FUNCEXPR": call,
    "SQLVALUEFUNCTION": sql_value,
    "AGGREF": aggregate,
    "WINDOWFUNC": window_function,
    "SUBLINK": subquery,
}


def nullability(
    query: Node,
    catalog: Catalog,
    parameters: Sequence[Parameter],
    rules: Mapping[str, Rule] = RULES,
) -> list[Verdict]:
    """Judge each column that `query` returns."""
    return outputs(Scope(Context(catalog, parameters, rules), query))

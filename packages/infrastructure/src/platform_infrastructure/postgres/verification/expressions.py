"""Expressions: NULL in, NULL out, and where that is not so."""

from platform_infrastructure.postgres.verification import known
from platform_infrastructure.postgres.verification.catalog import Function, Operator
from platform_infrastructure.postgres.verification.node_tree import Node
from platform_infrastructure.postgres.verification.scope import Parameter, Scope
from platform_infrastructure.postgres.verification.verdict import (
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
        return can(f"parameter {found.name} may be None")
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
    if function.name in known.ALWAYS and not node.flag("funcvariadic"):
        return never(function.name)
    if node.number("funcformat") in CASTS:
        return _cast(scope, function, arguments)
    is_text = function.name in known.TOTAL_FOR_TEXT and function.first_argument in TEXT_TYPES
    if is_text or function.name in known.TOTAL:
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
    if not operator.builtin or operator.name in known.PARTIAL_OPERATORS:
        return False
    if operator.name == "@@" and operator.left in JSON_TYPES:
        return False
    return known.GEOMETRIC not in operator.category


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

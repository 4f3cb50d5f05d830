"""Which columns of a statement's result can be NULL, read from its analysed tree.

sqlx asks EXPLAIN, and a plan shows no semantics: a left join that runs as a hash right join, or
below a sort, is overlooked (launchbadge/sqlx#367, #3202, #3164). The analysed tree names for each
column reference the outer joins that can null it (`varnullingrels`, PostgreSQL 16 and later).
"""

from collections.abc import Mapping, Sequence

from platform_infrastructure.postgres.verification import aggregates, columns, expressions
from platform_infrastructure.postgres.verification.catalog import Catalog
from platform_infrastructure.postgres.verification.node_tree import Node
from platform_infrastructure.postgres.verification.outputs import outputs
from platform_infrastructure.postgres.verification.scope import Context, Parameter, Rule, Scope
from platform_infrastructure.postgres.verification.verdict import Verdict

RULES: Mapping[str, Rule] = {
    "VAR": columns.variable,
    "CONST": expressions.constant,
    "PARAM": expressions.parameter,
    "NULLTEST": expressions.tested,
    "BOOLEANTEST": expressions.tested,
    "DISTINCTEXPR": expressions.tested,
    "ARRAYEXPR": expressions.constructed,
    "ROWEXPR": expressions.constructed,
    "GROUPINGFUNC": expressions.constructed,
    "NEXTVALUEEXPR": expressions.constructed,
    "MERGESUPPORTFUNC": expressions.constructed,
    "RELABELTYPE": expressions.relabelled,
    "COLLATEEXPR": expressions.relabelled,
    "COERCEVIAIO": expressions.relabelled,
    "COERCETODOMAIN": expressions.relabelled,
    "ARRAYCOERCEEXPR": expressions.relabelled,
    "CONVERTROWTYPEEXPR": expressions.relabelled,
    "COALESCEEXPR": expressions.coalesced,
    "MINMAXEXPR": expressions.greatest,
    "NULLIFEXPR": expressions.null_if,
    "CASEEXPR": expressions.case,
    "BOOLEXPR": expressions.boolean,
    "ROWCOMPAREEXPR": expressions.row_comparison,
    "OPEXPR": expressions.operation,
    "SCALARARRAYOPEXPR": expressions.array_operation,
    "FUNCEXPR": expressions.call,
    "SQLVALUEFUNCTION": expressions.sql_value,
    "AGGREF": aggregates.aggregate,
    "WINDOWFUNC": aggregates.window_function,
    "SUBLINK": aggregates.subquery,
}


def nullability(
    query: Node,
    catalog: Catalog,
    parameters: Sequence[Parameter],
    rules: Mapping[str, Rule] = RULES,
) -> list[Verdict]:
    """Judge each column that `query` returns."""
    return outputs(Scope(Context(catalog, parameters, rules), query))

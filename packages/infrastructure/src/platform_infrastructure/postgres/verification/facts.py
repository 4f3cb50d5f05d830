"""What WHERE and ON prove about the rows that are left: columns that are not NULL in them.

`WHERE s.title IS NOT NULL` proves it of the title, and that the outer join found an `s`: of the
other columns of `s` too. So does any comparison, since a strict operator is not true for NULL.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from platform_infrastructure.postgres.verification.catalog import Catalog
from platform_infrastructure.postgres.verification.node_tree import Node

INNER, LEFT, FULL, RIGHT = range(4)
IS_NOT_NULL = 1
PROVING_BOOLEAN_TESTS = {0, 2, 5}
"""IS TRUE, IS FALSE, IS NOT UNKNOWN."""


@dataclass(frozen=True, slots=True)
class Facts:
    """`columns` are (relation, column) that are not NULL; `present` are the outer joins that did
    not null a relation; `matched` those that nulled nothing at all."""

    columns: frozenset[tuple[int, int]]
    present: dict[int, frozenset[int]]
    matched: frozenset[int]

    def nulling(self, variable: Node) -> frozenset[int]:
        """Return the outer joins that may have nulled `variable` for all that is known."""
        present = self.present.get(variable.number("varno"), frozenset())
        return variable.numbers("varnullingrels") - present - self.matched


def facts(query: Node, catalog: Catalog) -> Facts:
    """Return what is known of the rows of `query` from its WHERE and its inner joins."""
    variables = [v for q in _qualifications(query) for v in _proven(q, catalog)]
    present: dict[int, frozenset[int]] = {}
    for variable in variables:
        number = variable.number("varno")
        joins = variable.numbers("varnullingrels")
        present[number] = present.get(number, frozenset()) | joins
    return Facts(
        columns=frozenset((v.number("varno"), v.number("varattno")) for v in variables),
        present=present,
        matched=frozenset().union(*present.values()) - _full_joins(query),
    )


def _full_joins(query: Node) -> frozenset[int]:
    """A full join that did not null one side may have nulled the other."""
    return frozenset(
        number
        for number, entry in enumerate(query.nodes("rtable"), 1)
        if entry.number("rtekind") == 2 and entry.number("jointype") == FULL
    )


def _qualifications(query: Node) -> Iterator[Node]:
    tree = query.node("jointree")
    if tree is not None:
        yield from _of_join(tree)


def _of_join(tree: Node) -> Iterator[Node]:
    """Only what holds for every row: nothing from the side that an outer join may null."""
    quals = tree.node("quals")
    match tree.kind, tree.number("jointype"):
        case ("FROMEXPR", _):
            sides = tree.nodes("fromlist")
        case ("JOINEXPR", 0):
            sides = [tree.child("larg"), tree.child("rarg")]
        case ("JOINEXPR", 1):
            sides, quals = [tree.child("larg")], None
        case ("JOINEXPR", 3):
            sides, quals = [tree.child("rarg")], None
        case _:
            sides, quals = [], None
    if quals is not None:
        yield quals
    for side in sides:
        yield from _of_join(side)


def _proven(condition: Node, catalog: Catalog) -> list[Node]:
    """Return the column references that are not NULL where `condition` is true."""
    arguments = condition.nodes("args")
    match condition.kind:
        case "BOOLEXPR" if condition.text("boolop") == "and":
            return [v for argument in arguments for v in _proven(argument, catalog)]
        case "BOOLEXPR" if condition.text("boolop") == "not":
            return _needed(arguments[0], catalog)
        case "NULLTEST" if condition.number("nulltesttype") == IS_NOT_NULL:
            return _needed(condition.child("arg"), catalog)
        case "BOOLEANTEST" if condition.number("booltesttype") in PROVING_BOOLEAN_TESTS:
            return _needed(condition.child("arg"), catalog)
        case "SCALARARRAYOPEXPR" if condition.flag("useOr") and _strict(condition, catalog):
            return _needed(arguments[0], catalog)
    return _needed(condition, catalog)


def _needed(expression: Node, catalog: Catalog) -> list[Node]:
    """Return the column references that are not NULL where `expression` is not NULL."""
    match expression.kind:
        case "VAR" if expression.number("varlevelsup") == 0:
            return [expression]
        case "RELABELTYPE":
            return _needed(expression.child("arg"), catalog)
        case "OPEXPR" | "FUNCEXPR" if _strict(expression, catalog):
            return [v for argument in expression.nodes("args") for v in _needed(argument, catalog)]
    return []


def _strict(call: Node, catalog: Catalog) -> bool:
    if call.kind == "FUNCEXPR":
        return catalog.function(call.number("funcid")).strict and not call.flag("funcretset")
    return catalog.operator(call.number("opno")).strict

"""One query level: what its column references mean, and what WHERE and ON prove about its rows."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from platform_queries.verify.catalog import Catalog
from platform_queries.verify.tree import JoinType, Node, RTEKind
from platform_queries.verify.verdict import Verdict, unknown

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
        if entry.number("rtekind") == RTEKind.JOIN and entry.number("jointype") == JoinType.FULL
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
        case ("JOINEXPR", JoinType.INNER):
            sides = [tree.child("larg"), tree.child("rarg")]
        case ("JOINEXPR", JoinType.LEFT):
            sides, quals = [tree.child("larg")], None
        case ("JOINEXPR", JoinType.RIGHT):
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


Rule = Callable[["Scope", Node], Verdict]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter as its annotation declares it. Only arrays have elements."""

    name: str
    optional: bool
    optional_elements: bool = True


@dataclass(frozen=True, slots=True)
class Context:
    """What is the same at all levels. `rules` says by kind of node how an expression is judged."""

    catalog: Catalog
    parameters: Sequence[Parameter]
    rules: Mapping[str, Rule]


@dataclass(frozen=True, eq=False)
class Scope:
    """`joined` are outer joins that are known to have found a row for what is looked at."""

    context: Context
    query: Node
    outer: "Scope | None" = None
    joined: frozenset[int] = frozenset()
    _inner: dict[int, "Scope"] = field(default_factory=dict)

    def verdict(self, expression: Node | None) -> Verdict:
        if expression is None:
            return unknown("no expression")
        rule = self.context.rules.get(expression.kind)
        if rule is None:
            return unknown(f"{expression.kind} is not known to the verifier")
        return rule(self, expression)

    def verdicts(self, expressions: Sequence[Node]) -> list[Verdict]:
        return [self.verdict(expression) for expression in expressions]

    def inner(self, query: Node) -> "Scope":
        """Return the level of a query inside this one."""
        if id(query) not in self._inner:
            self._inner[id(query)] = Scope(self.context, query, self)
        return self._inner[id(query)]

    def apart(self, query: Node) -> "Scope":
        """Return the level of a view, which sees neither this query nor its parameters."""
        return Scope(replace(self.context, parameters=()), query)

    def up(self, levels: int) -> "Scope":
        scope = self
        for _ in range(levels):
            assert scope.outer is not None  # noqa: S101
            scope = scope.outer
        return scope

    def matched(self, join: int) -> "Scope":
        """Return this level as the rows see it for which `join` found both sides."""
        return replace(self, joined=self.joined | {join}, _inner={})

    def relation(self, number: int) -> Node:
        """Return an entry of the range table; they are counted from 1."""
        return self.query.nodes("rtable")[number - 1]

    @cached_property
    def facts(self) -> Facts:
        return facts(self.query, self.context.catalog)

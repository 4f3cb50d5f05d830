"""One level of a query: what its column references mean, and what surrounds it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from platform_infrastructure.postgres.verification.catalog import Catalog
from platform_infrastructure.postgres.verification.facts import Facts, facts
from platform_infrastructure.postgres.verification.node_tree import Node
from platform_infrastructure.postgres.verification.verdict import Verdict, unknown

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

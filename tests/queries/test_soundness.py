"""The verifier against what really comes back; see `soundness` and `generated`."""

import random
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from platform_queries.verify import columns, nullability, scope, verdict
from platform_queries.verify.verdict import mildest, never
from tests.queries.soundness import (
    Observation,
    Tally,
    benches,
    observed,
    run,
    violated,
)

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

QUERIES = 2_000
SCHEMAS = 16
QUERIES_PER_SCHEMA = 200


async def test_no_column_called_not_null_is_ever_null_and_every_row_maps(
    empty_database_url: str,
) -> None:
    tally = await run(empty_database_url, seed=20261122, queries=QUERIES)

    assert tally.wrong == []
    assert tally.counts["run"] == QUERIES
    assert tally.counts["never"] > QUERIES, "there is something to be wrong about"
    assert tally.counts["seen NULL"] > QUERIES / 2


def says_never(*_: Any) -> Any:
    return never("a planted bug")


def proven_after_update(level: Any, node: Any) -> bool:
    return (node.number("varno"), node.number("varattno")) in level.facts.columns


def first_operand(level: Any, tree: Any, position: int) -> Any:
    while tree.kind != "RANGETBLREF":
        tree = tree.child("larg")
    subquery = level.relation(tree.number("rtindex")).child("subquery")
    return columns.output(level.inner(subquery), position)


def first_branch(level: Any, node: Any) -> Any:
    return level.verdict(node.nodes("args")[0].node("result"))


def left_sides_too(tree: Any) -> Any:
    """ON of an outer join taken for a fact about its nullable side."""
    if quals := tree.node("quals"):
        yield quals
    sides = [tree.node("larg"), tree.node("rarg"), *tree.nodes("fromlist")]
    for side in filter(None, sides):
        yield from left_sides_too(side)


def disjunctions_too(original: Callable[..., Any]) -> Callable[..., Any]:
    def proven(condition: Any, catalog: Any) -> Any:
        if condition.kind == "BOOLEXPR":
            return [v for a in condition.nodes("args") for v in proven(a, catalog)]
        return original(condition, catalog)

    return proven


PLANTED: Mapping[str, tuple[Any, str, Any]] = {
    "outer joins are overlooked": (scope.Facts, "nulling", lambda *_: frozenset()),
    "a full join that found one side found both": (scope, "_full_joins", lambda _: frozenset()),
    "ON of an outer join is taken for WHERE": (scope, "_of_join", left_sides_too),
    "OR proves both of its sides": (scope, "_proven", disjunctions_too(scope._proven)),
    "IS TRUE and IS NOT FALSE are the same": (scope, "PROVING_BOOLEAN_TESTS", {0, 2, 3, 5}),
    "every function is strict": (scope, "_strict", lambda *_: True),
    "an old or new row is always there": (columns, "_missing_version", lambda *_: ""),
    "WHERE sees the row after the UPDATE": (columns, "_is_proven", proven_after_update),
    "MERGE always has a source row": (columns, "_may_lack_source", lambda *_: False),
    "USING takes either side": (columns, "strictest", mildest),
    "every column of a table is NOT NULL": (columns, "_of_table", says_never),
    "rows of unnest are never NULL": (columns, "SETS", verdict.SETS | {"unnest"}),
    "a set operation is its first branch": (columns, "_combined", first_operand),
    "a subquery always has a row": (nullability, "_returns_one_row", lambda _: True),
    "HAVING and LIMIT leave the one row": (
        nullability,
        "_returns_one_row",
        lambda query: query.flag("hasAggs") or not query.nodes("rtable"),
    ),
    "there is always a group with rows": (nullability, "_groups_have_rows", lambda _: True),
    "a frame always has its row": (nullability, "_frame_has_current_row", lambda *_: True),
    "lag always finds a row": (nullability, "_lag", says_never),
    "IN is never NULL": (nullability, "_quantified", says_never),
    "FILTER leaves something": (
        nullability,
        "_over_rows",
        lambda level, node, name, _filtered, of, original=nullability._over_rows: original(
            level, node, name, "nothing", of
        ),
    ),
    "arrays have no NULL in them": (nullability, "_elements", says_never),
    "a JSON value has every member": (nullability, "PARTIAL_OPERATORS", frozenset()),
    "JSON's null is no NULL": (nullability, "JSON_TYPES", ()),
    "substring always matches": (nullability, "TOTAL", verdict.TOTAL | {"substring"}),
}
RULES_PLANTED: Mapping[str, tuple[str, Any]] = {
    "COALESCE is never NULL": ("COALESCEEXPR", says_never),
    "CASE is its first branch": ("CASEEXPR", first_branch),
    "CASE is never NULL": ("CASEEXPR", says_never),
    "NULLIF is never NULL": ("NULLIFEXPR", says_never),
    "GREATEST is never NULL": ("MINMAXEXPR", says_never),
    "NULL is never NULL": ("CONST", says_never),
    "parameters are never NULL": ("PARAM", says_never),
    "operators are never NULL": ("OPEXPR", says_never),
    "functions are never NULL": ("FUNCEXPR", says_never),
    "AND is never NULL": ("BOOLEXPR", says_never),
    "casts are never NULL": ("COERCEVIAIO", says_never),
    "aggregates are never NULL": ("AGGREF", says_never),
    "window functions are never NULL": ("WINDOWFUNC", says_never),
}


async def test_bugs_planted_in_the_verifier_are_all_found(empty_database_url: str) -> None:
    """Each stands for one rule that could be wrong; the test above must be able to see it."""
    missed = set(PLANTED) | set(RULES_PLANTED)
    tally = Tally()
    async with benches(empty_database_url) as found:
        for number in range(SCHEMAS):
            dice = random.Random(f"planted/{number}")
            bench = found.new(dice)
            seen = [await observed(bench, dice, tally) for _ in range(QUERIES_PER_SCHEMA)]
            interesting = [observation for observation in seen if observation and observation.nulls]
            missed -= {bug for bug in missed if finds(bug, interesting, bench.verifier.catalog)}
            if not missed:
                break

    assert tally.wrong == []
    assert missed == set()


def finds(bug: str, observations: list[Observation], catalog: Any) -> bool:
    with pytest.MonkeyPatch.context() as patch:
        if bug in PLANTED:
            patch.setattr(*PLANTED[bug])
        else:
            kind, rule = RULES_PLANTED[bug]
            patch.setitem(nullability.RULES, kind, rule)
        return any(violated(observation, catalog) for observation in observations)

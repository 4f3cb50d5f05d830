"""Random schemas, rows and queries, to show that no column called NOT NULL is ever NULL.

```
uv run python -m benchmarks.soundness --queries 100000
```

Each generated query is verified against annotations that say exactly what the verifier found, is
run by `Query.execute` as in production, and every value must be what its annotation says.
"""

import random
import types
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, make_dataclass
from typing import Any

import psycopg
from psycopg import AsyncConnection, Connection
from psycopg.types.string import TextLoader

from platform_queries import QUERIES, Many, Query
from platform_queries.annotations import declared
from platform_queries.lock import Nullable
from platform_queries.verify.catalog import Catalog
from platform_queries.verify.nullability import nullability
from platform_queries.verify.prepare import (
    Description,
    Refused,
    Statement,
    described,
    numbered,
)
from platform_queries.verify.scope import Parameter
from platform_queries.verify.types import JSON, PYTHON
from platform_queries.verify.verdict import Verdict
from platform_queries.verify.verifier import Verifier
from tests.queries.generated import Mood, Schema, generated_query

QUERIES_PER_SCHEMA = 250
PARAMETERS: Mapping[str, Any] = {
    "some_integer": int,
    "any_integer": int | None,
    "some_text": str,
    "any_text": str | None,
}
VALUES: Mapping[str, Sequence[Any]] = {
    "some_integer": (0, 1, 2),
    "any_integer": (1, None),
    "some_text": ("a", ""),
    "any_text": ("b", None),
}


@dataclass(frozen=True, slots=True)
class Observation:
    """A query that ran. `nulls` are the positions of the columns in which a NULL was seen."""

    sql: str
    description: Description
    parameters: list[Parameter]
    nulls: frozenset[int]


@dataclass(slots=True)
class Tally:
    """What came of the queries so far."""

    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Bench:
    """One schema with rows in it, a connection to verify on and one to run on."""

    schema: Schema
    verifier: Verifier
    connection: Connection[Any]
    running: AsyncConnection[Any]


@asynccontextmanager
async def benches(url: str) -> AsyncIterator["Benches"]:
    with psycopg.connect(url, autocommit=True) as connection:
        async with await AsyncConnection.connect(url, autocommit=True) as running:
            # A JSON null is None in Python, though it is no NULL.
            running.adapters.register_loader("jsonb", TextLoader)
            yield Benches(connection, running)


@dataclass(frozen=True, slots=True)
class Benches:
    connection: Connection[Any]
    running: AsyncConnection[Any]

    def new(self, dice: random.Random) -> Bench:
        """Replace the schema by another one."""
        while True:
            schema = Schema(dice)
            try:
                for statement in schema.statements:
                    self.connection.execute(statement.encode())
            except psycopg.Error:  # A view that PostgreSQL refuses: take another schema.
                continue
            return Bench(schema, Verifier(self.connection), self.connection, self.running)


async def observed(bench: Bench, dice: random.Random, tally: Tally) -> Observation | None:
    """Generate, verify and run one query; None for one that PostgreSQL does not take."""
    sql = generated_query(bench.schema, dice)
    try:
        statement = numbered(sql)
        description = described(bench.connection, statement)
    except Refused:
        tally.counts["refused"] += 1
        return None
    parameters = [Parameter(name, declared(PARAMETERS[name]).optional) for name in statement.names]
    verdicts = nullability(description.query, bench.verifier.catalog, parameters)
    query = _query_class(bench.verifier.catalog, sql, statement.names, description, verdicts)
    try:
        return await _observed(bench, query, statement, description, parameters, dice, tally)
    finally:
        del QUERIES[f"{query.__module__}.{query.__qualname__}"]


async def _observed(
    bench: Bench,
    query: type[Query[list[Any]]],
    statement: Statement,
    description: Description,
    parameters: list[Parameter],
    dice: random.Random,
    tally: Tally,
) -> Observation | None:
    verified, problems = bench.verifier.judged(query, statement, description)
    # Whether a generated statement breaks a constraint is not what is looked at here.
    wrong = [p.message for p in problems if not p.message.startswith("a caller can break")]
    tally.wrong += [f"{message}: {query.sql}" for message in wrong]
    values = {name: dice.choice(VALUES[name]) for name in PARAMETERS}
    given = {parameter.name: values[parameter.name] for parameter in parameters}
    try:
        async with bench.running.transaction(force_rollback=True):
            rows = await query(**given).execute(bench.running)
    except psycopg.Error as error:
        tally.counts[f"failed {error.sqlstate}"] += 1
        if error.sqlstate is None or error.sqlstate.startswith("42"):
            tally.wrong.append(f"{error}: {query.sql}")
        return None
    tally.counts["run"] += 1
    tally.counts.update(column.nullable.value for column in verified.columns)
    tally.wrong += [f"{what}: {query.sql}" for what in _misfits(query.row, rows)]
    nulls = _null_positions(query.row, rows)
    tally.counts["seen NULL"] += len(nulls)
    return Observation(query.sql, description, parameters, nulls)


def violated(observation: Observation, catalog: Catalog) -> bool:
    """Whether a column that the rules call NOT NULL was NULL."""
    found = nullability(observation.description.query, catalog, observation.parameters)
    return any(found[position].is_never for position in observation.nulls)


def _query_class(
    catalog: Catalog,
    sql: str,
    parameters: list[str],
    description: Description,
    verdicts: list[Verdict],
) -> type[Query[list[Any]]]:
    fields = [
        (column.name, _annotation(catalog, column.type, verdict))
        for column, verdict in zip(description.columns, verdicts, strict=True)
    ]
    row = make_dataclass("Row", fields)
    annotations = {name: PARAMETERS[name] for name in parameters}

    def body(namespace: dict[str, Any]) -> None:
        namespace.update(sql=sql, __annotations__=annotations, __module__=__name__)

    return types.new_class("Generated", (Many[row],), {}, body)  # type: ignore[valid-type]


def _annotation(catalog: Catalog, oid: int, verdict: Verdict) -> Any:
    found = catalog.base_type(oid)
    kind: Any = PYTHON.get(found.internal)
    if found.internal in JSON:
        return Any
    if found.kind == "e":
        kind = Mood
    if found.element:
        kind = list[int]
    return kind if verdict.nullable is Nullable.NEVER else kind | None


def _misfits(row: type[Any], rows: list[Any]) -> list[str]:
    """Say which values are not what their annotation says."""
    return [
        f"{name} is {value!r}, not {annotation}"
        for name, annotation in row.__annotations__.items()
        for value in {id(v): v for v in (getattr(r, name) for r in rows)}.values()
        if not _fits(value, annotation)
    ]


def _fits(value: Any, annotation: Any) -> bool:
    if annotation is Any:
        return True
    found = declared(annotation)
    if value is None:
        return found.optional
    return type(value) is (list if found.kind == list[int] else found.kind)


def _null_positions(row: type[Any], rows: list[Any]) -> frozenset[int]:
    return frozenset(
        position
        for position, name in enumerate(row.__annotations__)
        if any(getattr(r, name) is None for r in rows)
    )


async def run(url: str, seed: int, queries: int) -> Tally:
    """Run that many queries and return what came of them."""
    tally = Tally()
    number = 0
    async with benches(url) as found:
        while tally.counts["run"] < queries and not tally.wrong:
            dice = random.Random(f"{seed}/{number}")
            bench, number = found.new(dice), number + 1
            for _ in range(QUERIES_PER_SCHEMA):
                if tally.counts["run"] < queries:
                    await observed(bench, dice, tally)
    return tally

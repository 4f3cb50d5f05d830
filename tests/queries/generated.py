"""Random schemas, rows and statements for the test of soundness. All from one seed."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

INT, TEXT, BOOL, LABEL, DOMAIN, NUMERIC, MOMENT, UUID_, INTS, JSON = (
    "integer",
    "text",
    "boolean",
    "mood",
    "short_text",
    "numeric",
    "timestamptz",
    "uuid",
    "integer[]",
    "jsonb",
)
TYPES = (INT, INT, INT, TEXT, TEXT, BOOL, LABEL, DOMAIN, NUMERIC, MOMENT, UUID_, INTS, JSON)
LITERALS = {
    INT: ("0", "1", "2", "3"),
    TEXT: ("'a'", "'b'", "''"),
    BOOL: ("true", "false"),
    LABEL: ("'happy'", "'sad'"),
    DOMAIN: ("'x'", "'y'"),
    NUMERIC: ("1.5", "0", "2"),
    MOMENT: ("'2026-01-01Z'", "'2027-05-05Z'"),
    UUID_: ("'00000000-0000-0000-0000-000000000001'", "'00000000-0000-0000-0000-000000000002'"),
    INTS: ("'{1,2}'", "'{}'", "'{3,NULL}'"),
    JSON: ("""'{"a": 1, "b": null}'""", "'null'", "'[1]'"),
}


class Mood(StrEnum):
    """The enum of the generated schemas."""

    HAPPY = "happy"
    SAD = "sad"


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Table:
    name: str
    columns: list[Column]
    writable: bool = True


@dataclass(frozen=True, slots=True)
class Source:
    """Something with an alias in FROM."""

    alias: str
    columns: list[Column]


class Schema:
    """Three tables that share the columns `id` and `k`, a view, some rows with NULLs in them."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self.statements = [
            "DROP SCHEMA public CASCADE; CREATE SCHEMA public",
            "CREATE TYPE mood AS ENUM ('happy', 'sad')",
            "CREATE DOMAIN short_text AS text CHECK (length(value) < 10)",
            """CREATE FUNCTION mine(n integer) RETURNS integer LANGUAGE sql
                AS 'SELECT CASE WHEN n > 1 THEN n END'""",
        ]
        self.tables = [self._table(name) for name in ("a", "b", "c")]
        view = Writer(self, dice, parameters=False).select(1)
        self.statements.append(f"CREATE VIEW v AS {view.sql}")
        self.tables.append(Table("v", view.columns, writable=False))

    def _table(self, name: str) -> Table:
        dice = self._dice
        columns = [Column("id", INT), Column("k", INT)]
        columns += [Column(f"{name}{i}", dice.choice(TYPES)) for i in range(dice.randint(2, 5))]
        definitions = ["id integer PRIMARY KEY"]
        required = {c.name for c in columns if dice.random() < 0.5}
        definitions += [
            f"{c.name} {c.type}{' NOT NULL' if c.name in required else ''}" for c in columns[1:]
        ]
        self.statements.append(f"CREATE TABLE {name} ({', '.join(definitions)})")
        for row in range(dice.choice((0, 1, 3, 5))):
            values = [str(row)] + [self._value(c, c.name in required) for c in columns[1:]]
            self.statements.append(f"INSERT INTO {name} VALUES ({', '.join(values)})")
        return Table(name, columns)

    def _value(self, column: Column, required: bool) -> str:
        if not required and self._dice.random() < 0.45:
            return "NULL"
        return self._dice.choice(LITERALS[column.type])


@dataclass(frozen=True, slots=True)
class Generated:
    """A statement and its columns, with the types that it was meant to have."""

    sql: str
    columns: list[Column]


def generated_query(schema: Schema, dice: random.Random) -> str:
    """Return a statement that is right in most cases; PostgreSQL refuses the others."""
    writer = Writer(schema, dice)
    kind = dice.random()
    if kind < 0.12:
        return writer.writing()
    return writer.query(depth=2).sql


class Writer:
    """Writes one statement."""

    def __init__(self, schema: Schema, dice: random.Random, *, parameters: bool = True) -> None:
        self._schema = schema
        self._dice = dice
        self._parameters = parameters
        self._names = 0

    def query(self, depth: int) -> Generated:
        chance = self._dice.random()
        if depth and chance < 0.12:
            return self._set_operation(depth)
        if depth and chance < 0.22:
            return self._with_cte(depth)
        if chance < 0.40:
            return self._grouped(depth)
        return self.select(depth)

    def writing(self) -> str:
        table = self._dice.choice([t for t in self._schema.tables if t.writable])
        kind = self._dice.choice(("insert", "upsert", "update", "update from", "delete", "merge"))
        versions = self._dice.choice(("", "", "old.", "new."))
        written = {
            "insert": self._insert,
            "upsert": self._upsert,
            "update": self._update,
            "update from": self._update_from,
            "delete": self._delete,
            "merge": self._merge,
        }[kind](table)
        target = "t" if kind != "insert" else table.name
        returned = [
            f"{versions or target + '.'}{c.name} AS r{i}" for i, c in enumerate(table.columns)
        ]
        if kind == "update from":
            returned += [f"s.{c.name} AS s{i}" for i, c in enumerate(self._source(table).columns)]
        if kind == "merge":
            returned += [f"s.id AS s{i}" for i in range(1)] + ["merge_action() AS action"]
        sql = f"{written} RETURNING {', '.join(returned)}"
        return f"WITH w AS ({sql}) SELECT * FROM w" if self._dice.random() < 0.3 else sql

    def select(self, depth: int) -> Generated:
        sources, joined = self._from(depth)
        columns = [self._output(sources, depth) for _ in range(self._dice.randint(1, 5))]
        where = self._where(sources)
        tail = self._dice.choice(("", "", "", " LIMIT 3", " ORDER BY 1", " OFFSET 1"))
        return self._of(columns, f"FROM {joined}{where}{tail}")

    def _of(self, columns: list[tuple[str, str]], rest: str) -> Generated:
        named = [Column(self._name("c"), type_) for _, type_ in columns]
        listed = [
            f"{sql} AS {column.name}" for (sql, _), column in zip(columns, named, strict=True)
        ]
        return Generated(f"SELECT {', '.join(listed)} {rest}", named)

    def _from(self, depth: int) -> tuple[list[Source], str]:
        first, sql = self._item(depth, [])
        sources = [first]
        for _ in range(self._dice.choice((0, 1, 1, 2, 2, 3))):
            sources, sql = self._join(sources, sql, depth)
        return sources, sql

    def _join(self, sources: list[Source], sql: str, depth: int) -> tuple[list[Source], str]:
        kind = self._dice.choice(("JOIN", "LEFT JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"))
        if self._dice.random() < 0.1:
            return self._parenthesised(sources, sql, kind)
        lateral = sources if kind in ("JOIN", "LEFT JOIN") else []
        source, item = self._item(depth, lateral)
        all_sources = [*sources, source]
        if self._dice.random() < 0.3 and self._can_use(sources, source):
            merged = Source("", [Column("k", INT)])
            return [*all_sources, merged], f"{sql} {kind} {item} USING (k)"
        on = self._equality(sources, source) if kind == "FULL JOIN" else self._on(sources, source)
        return all_sources, f"{sql} {kind} {item} ON {on}"

    def _parenthesised(
        self, sources: list[Source], sql: str, kind: str
    ) -> tuple[list[Source], str]:
        left, first = self._item(0, [])
        right, second = self._item(0, [])
        inner = self._dice.choice(("JOIN", "LEFT JOIN", "RIGHT JOIN"))
        on = self._equality([left], right)
        outer = self._equality(sources, left)
        joined = f"{sql} {kind} ({first} {inner} {second} ON {on}) ON {outer}"
        return [*sources, left, right], joined

    def _can_use(self, sources: list[Source], source: Source) -> bool:
        """`k` must be one column on either side."""
        holders = [s for s in sources if any(c.name == "k" for c in s.columns)]
        named = any(c.name == "k" and c.type == INT for c in source.columns)
        return named and len(holders) == 1 and holders[0].alias != ""

    def _on(self, sources: list[Source], source: Source) -> str:
        equality = self._equality(sources, source)
        if self._dice.random() < 0.2:
            return self._dice.choice(("true", "false", f"{equality} AND false"))
        return equality

    def _equality(self, sources: list[Source], source: Source) -> str:
        left = [
            f"{s.alias}.{c.name}" for s in sources if s.alias for c in s.columns if c.type == INT
        ]
        right = [f"{source.alias}.{c.name}" for c in source.columns if c.type == INT]
        if not left or not right:
            return "1 = 1"
        return f"{self._dice.choice(left)} = {self._dice.choice(right)}"

    def _item(self, depth: int, lateral: list[Source]) -> tuple[Source, str]:
        chance = self._dice.random()
        if depth and chance < 0.2:
            inner = self.query(depth - 1)
            alias = self._name("q")
            return Source(alias, inner.columns), f"({inner.sql}) AS {alias}"
        if lateral and chance < 0.3:
            return self._lateral(lateral)
        if chance < 0.36:
            return self._function_item()
        table = self._dice.choice(self._schema.tables)
        alias = self._name(table.name)
        return Source(alias, table.columns), f"{table.name} AS {alias}"

    def _lateral(self, sources: list[Source]) -> tuple[Source, str]:
        expression, type_ = self._expression(sources, 1)
        alias, where = (
            self._name("l"),
            self._dice.choice(("", "", " WHERE random() < 2", " LIMIT 1")),
        )
        columns = [Column("x", type_), Column("k", INT)]
        return (
            Source(alias, columns),
            f"LATERAL (SELECT {expression} AS x, 1 AS k{where}) AS {alias}",
        )

    def _function_item(self) -> tuple[Source, str]:
        alias = self._name("f")
        columns = [Column("x", INT), Column("k", "bigint")]
        call = self._dice.choice(
            (
                "generate_series(0, 2)",
                "unnest(ARRAY[1, NULL, 2])",
                "unnest('{0,1}'::integer[])",
                "mine(2)",
                "abs(-1)",
            )
        )
        if self._dice.random() < 0.2:
            rows = self._dice.choice(("(1, 2), (3, NULL)", "(1, 2), (2, 3)"))
            values = [Column("x", INT), Column("k", INT)]
            return Source(alias, values), f"(VALUES {rows}) AS {alias}(x, k)"
        return Source(alias, columns), f"{call} WITH ORDINALITY AS {alias}(x, k)"

    def _where(self, sources: list[Source]) -> str:
        conditions = [self._condition(sources) for _ in range(self._dice.choice((0, 0, 1, 1, 2)))]
        return f" WHERE {' AND '.join(conditions)}" if conditions else ""

    def _condition(self, sources: list[Source]) -> str:
        column = self._column(sources)
        other = self._column(sources)
        number = self._typed(sources, INT)
        return self._dice.choice(
            (
                f"{column} IS NOT NULL",
                f"{column} IS NOT NULL",
                f"NOT ({column} IS NULL)",
                f"({column} IS NOT NULL OR {other} IS NOT NULL)",
                f"{column} IS NULL",
                f"{number} >= 0",
                f"{number} + 1 > 0",
                f"NOT ({number} = 1)",
                f"{number} IN (0, 1, 2)",
                f"{number} <> ALL ('{{9}}'::integer[])",
                f"coalesce({number}, 1) > 0",
                f"num_nulls({column}) >= 0",
                f"({number} > 0) IS NOT FALSE",
                f"({number} >= 0) IS TRUE",
                f"({number} >= 0) IS NOT UNKNOWN",
                f"({number} < 0 OR {number} >= 0)",
            )
        )

    def _output(self, sources: list[Source], depth: int) -> tuple[str, str]:
        if self._dice.random() < 0.15:
            return self._windowed(sources)
        return self._expression(sources, depth)

    def _expression(self, sources: list[Source], depth: int) -> tuple[str, str]:
        if self._dice.random() < 0.45:
            return self._reference(sources)
        number, other = self._typed(sources, INT), self._typed(sources, INT)
        text, flag = self._typed(sources, TEXT), self._typed(sources, BOOL)
        column, _ = self._reference(sources)
        choices: list[Callable[[], tuple[str, str]]] = [
            lambda: (f"coalesce({number}, {other})", INT),
            lambda: (f"coalesce({number}, 0)", INT),
            lambda: (f"coalesce({text}, NULL)", TEXT),
            lambda: (f"{number} + {other}", INT),
            lambda: (f"-{number}", INT),
            lambda: (f"nullif({number}, 1)", INT),
            lambda: (f"greatest({number}, {other})", INT),
            lambda: (f"CASE WHEN {flag} THEN {number} ELSE {other} END", INT),
            lambda: (f"CASE WHEN {flag} THEN 1 END", INT),
            lambda: (f"({flag} AND {number} = 1)", BOOL),
            lambda: (f"{number} IN ({other}, 2)", BOOL),
            lambda: (f"{number} = ANY (ARRAY[{other}, 2])", BOOL),
            lambda: (f"{number} = ANY ('{{1,NULL}}'::integer[])", BOOL),
            lambda: (f"{column} IS NULL", BOOL),
            lambda: (f"{number} IS DISTINCT FROM {other}", BOOL),
            lambda: (f"({number}, {other}) < (1, 2)", BOOL),
            lambda: (f"upper({text})", TEXT),
            lambda: (f"{text} || {text}", TEXT),
            lambda: (f"concat({text}, {number})", TEXT),
            lambda: (f"substring({text} from 'a')", TEXT),
            lambda: (f"substr({text}, 1, 1)", TEXT),
            lambda: (f"{number}::text", TEXT),
            lambda: (f"{number}::bigint", "bigint"),
            lambda: (f"{self._typed(sources, JSON)} -> 'a'", JSON),
            lambda: (f"{self._typed(sources, JSON)} ->> 'b'", TEXT),
            lambda: (f"to_jsonb({number})", JSON),
            lambda: (f"({self._typed(sources, JSON)} -> 'b')::text", TEXT),
            lambda: (f"(jsonb_build_object('n', {number}) -> 'n')::integer", INT),
            lambda: ("('null'::jsonb)::integer", INT),
            lambda: (f"{self._typed(sources, INTS)}[1]", INT),
            lambda: (f"cardinality({self._typed(sources, INTS)})", INT),
            lambda: (f"ARRAY[{number}, {other}]", INTS),
            lambda: (f"mine({number})", INT),
            lambda: (f"extract(epoch from {self._typed(sources, MOMENT)})", NUMERIC),
            lambda: (f"date_trunc('day', {self._typed(sources, MOMENT)})", MOMENT),
            lambda: (f"{self._typed(sources, MOMENT)} + interval '1 day'", MOMENT),
            lambda: (f"{self._typed(sources, DOMAIN)}::text", TEXT),
            lambda: (f"{text}::short_text", DOMAIN),
            lambda: (f"{self._typed(sources, LABEL)}::text", TEXT),
            lambda: (f"{self._typed(sources, NUMERIC)} * 2", NUMERIC),
            lambda: self._subquery(sources, depth),
            lambda: self._subquery(sources, depth),
        ]
        return self._dice.choice(choices)()

    def _subquery(self, sources: list[Source], depth: int) -> tuple[str, str]:
        table = self._dice.choice(self._schema.tables)
        alias = self._name("x")
        inner = Source(alias, table.columns)
        column, type_ = self._reference([inner])
        number = self._typed([inner], INT)
        outer = self._typed(sources, INT)
        where = self._dice.choice(("", f" WHERE {number} = {outer}", " WHERE false"))
        rows = f"FROM {table.name} AS {alias}{where}"
        return self._dice.choice(
            (
                (f"(SELECT {column} {rows} LIMIT 1)", type_),
                (f"(SELECT count(*) {rows})", "bigint"),
                (f"(SELECT max({number}) {rows})", INT),
                (f"(SELECT coalesce(max({number}), 0) {rows})", INT),
                (f"(SELECT {outer})", INT),
                (f"(SELECT 1{self._dice.choice(('', ' WHERE false', ' LIMIT 0'))})", INT),
                (f"(SELECT count(*) {rows} GROUP BY {alias}.id LIMIT 1)", "bigint"),
                (f"(SELECT count(*) {rows} HAVING count(*) > 1)", "bigint"),
                (f"EXISTS (SELECT {rows})", BOOL),
                (f"{outer} IN (SELECT {number} {rows})", BOOL),
                (f"{outer} IN (SELECT {column} {rows})" if type_ == INT else "true", BOOL),
                (f"{outer} <> ALL (SELECT {number} {rows})", BOOL),
                (f"ARRAY(SELECT {number} {rows})", INTS),
            )
        )

    def _windowed(self, sources: list[Source]) -> tuple[str, str]:
        number, order = self._typed(sources, INT), self._typed(sources, INT)
        over = self._dice.choice(
            (
                "()",
                f"(ORDER BY {order})",
                f"(PARTITION BY {order})",
                f"(ORDER BY {order} ROWS BETWEEN 1 PRECEDING AND 1 PRECEDING)",
                f"(ORDER BY {order} ROWS UNBOUNDED PRECEDING EXCLUDE CURRENT ROW)",
            )
        )
        call, type_ = self._dice.choice(
            (
                ("row_number()", "bigint"),
                ("rank()", "bigint"),
                ("cume_dist()", "double precision"),
                ("ntile(2)", INT),
                ("count(*)", "bigint"),
                (f"sum({number})", "bigint"),
                (f"max({number})", INT),
                (f"max({number}) FILTER (WHERE {order} > 1)", INT),
                (f"lag({number})", INT),
                (f"lead({number}, 1, 0)", INT),
                (f"lag({number}, 1, {order})", INT),
                (f"first_value({number})", INT),
                (f"last_value({number})", INT),
                (f"nth_value({number}, 2)", INT),
            )
        )
        return f"{call} OVER {over}", type_

    def _grouped(self, depth: int) -> Generated:
        sources, joined = self._from(depth)
        keys = [self._reference(sources) for _ in range(self._dice.choice((0, 1, 2)))]
        keys = [key for key in keys if key[1] != JSON]
        aggregates = [self._aggregate(sources) for _ in range(self._dice.randint(1, 3))]
        group = self._group_by([sql for sql, _ in keys])
        having = self._dice.choice(("", "", " HAVING count(*) >= 0"))
        rest = f"FROM {joined}{self._where(sources)}{group}{having}"
        return self._of([*keys, *aggregates], rest)

    def _group_by(self, keys: list[str]) -> str:
        if not keys:
            return self._dice.choice(("", "", " GROUP BY ()"))
        listed = ", ".join(keys)
        return self._dice.choice(
            (
                f" GROUP BY {listed}",
                f" GROUP BY {listed}",
                f" GROUP BY ROLLUP ({listed})",
                f" GROUP BY CUBE ({listed})",
                f" GROUP BY {keys[0]}, GROUPING SETS (({listed}), ({keys[0]}))",
                f" GROUP BY GROUPING SETS (({listed}), ())",
            )
        )

    def _aggregate(self, sources: list[Source]) -> tuple[str, str]:
        number, text = self._typed(sources, INT), self._typed(sources, TEXT)
        filtered = self._dice.choice(("", "", f" FILTER (WHERE {number} > 1)"))
        call, type_ = self._dice.choice(
            (
                ("count(*)", "bigint"),
                (f"count({number})", "bigint"),
                (f"sum({number})", "bigint"),
                (f"max({text})", TEXT),
                (f"min({number})", INT),
                (f"bool_or({number} > 1)", BOOL),
                (f"array_agg({number})", INTS),
                (f"jsonb_agg({number})", JSON),
                (f"string_agg({text}, ',')", TEXT),
                (f"stddev({number})", NUMERIC),
                (f"avg({number})", NUMERIC),
            )
        )
        outer = self._dice.choice(("{}", "{}", "coalesce({}, NULL)"))
        return outer.format(call + filtered), type_

    def _set_operation(self, depth: int) -> Generated:
        """Both sides read the same columns of one table, each under joins of its own."""
        table = self._dice.choice([t for t in self._schema.tables if t.writable])
        comparable = [c for c in table.columns if c.type != JSON]
        chosen = [self._dice.choice(comparable) for _ in range(self._dice.randint(1, 3))]
        kind = self._dice.choice(("UNION", "UNION ALL", "INTERSECT", "EXCEPT"))
        left, right = self._branch(table, chosen), self._branch(table, chosen)
        columns = [Column(f"u{i}", c.type) for i, c in enumerate(chosen)]
        return Generated(f"{left} {kind} {right}", columns)

    def _branch(self, table: Table, chosen: list[Column]) -> str:
        alias, other = self._name("s"), self._dice.choice(self._schema.tables).name
        kind = self._dice.choice(("LEFT JOIN", "RIGHT JOIN", "JOIN"))
        second = self._name("o")
        source = Source(alias, table.columns)
        listed = ", ".join(f"{alias}.{c.name} AS u{i}" for i, c in enumerate(chosen))
        where = self._where([source])
        number = self._typed([source], INT)
        joined = f"{table.name} {alias} {kind} {other} {second} ON {number} = 1"
        return f"SELECT {listed} FROM {joined}{where}"

    def _with_cte(self, depth: int) -> Generated:
        inner = self.query(depth - 1)
        name = self._name("w")
        source = Source("z", inner.columns)
        others, joined = self._from(0)
        kind = self._dice.choice(("JOIN", "LEFT JOIN", "RIGHT JOIN"))
        sources = [source, *others]
        columns = [self._expression(sources, 1) for _ in range(3)]
        on = self._dice.choice(("true", "false"))
        rest = f"FROM {name} AS z {kind} ({joined}) ON {on}{self._where(sources)}"
        if self._dice.random() < 0.15:
            return self._recursive(columns, rest, name, inner)
        found = self._of(columns, rest)
        return Generated(f"WITH {name} AS ({inner.sql}) {found.sql}", found.columns)

    def _recursive(
        self, columns: list[tuple[str, str]], rest: str, name: str, inner: Generated
    ) -> Generated:
        found = self._of(columns, rest)
        again = ", ".join(c.name for c in inner.columns)
        body = f"(SELECT * FROM ({inner.sql}) i) UNION ALL SELECT {again} FROM {name} WHERE false"
        return Generated(f"WITH RECURSIVE {name} AS ({body}) {found.sql}", found.columns)

    def _source(self, table: Table) -> Table:
        """The table that UPDATE … FROM and MERGE read: the one behind `table`."""
        tables = [t for t in self._schema.tables if t.writable]
        return tables[(tables.index(table) + 1) % len(tables)]

    def _assignment(self, table: Table) -> tuple[str, str]:
        column = self._dice.choice(table.columns[1:])
        value = self._dice.choice((*LITERALS[column.type], "NULL"))
        return column.name, value

    def _insert(self, table: Table) -> str:
        values = ["100"] + [
            self._dice.choice((*LITERALS[c.type], "NULL")) for c in table.columns[1:]
        ]
        return f"INSERT INTO {table.name} VALUES ({', '.join(values)})"

    def _upsert(self, table: Table) -> str:
        column, value = self._assignment(table)
        key = self._dice.choice(("0", "100"))
        values = [key] + [self._dice.choice(LITERALS[c.type]) for c in table.columns[1:]]
        return (
            f"INSERT INTO {table.name} AS t VALUES ({', '.join(values)})"
            f" ON CONFLICT (id) DO UPDATE SET {column} = {value}"
        )

    def _update(self, table: Table) -> str:
        column, value = self._assignment(table)
        where = self._where([Source("t", table.columns)])
        if self._dice.random() < 0.3:
            value, where = "NULL", f" WHERE {column} IS NOT NULL"
        return f"UPDATE {table.name} AS t SET {column} = {value}{where}"

    def _update_from(self, table: Table) -> str:
        column, value = self._assignment(table)
        source = self._source(table)
        join = self._dice.choice(("JOIN", "LEFT JOIN", "RIGHT JOIN"))
        other = self._dice.choice(self._schema.tables).name
        return (
            f"UPDATE {table.name} AS t SET {column} = {value}"
            f" FROM {other} AS o {join} {source.name} AS s ON o.k = s.k"
            f"{self._where([Source('t', table.columns), Source('s', source.columns)])}"
        )

    def _delete(self, table: Table) -> str:
        return f"DELETE FROM {table.name} AS t{self._where([Source('t', table.columns)])}"

    def _merge(self, table: Table) -> str:
        source = self._source(table)
        column, value = self._assignment(table)
        filler = ", ".join(
            ["s.id + 200"] + [self._dice.choice(LITERALS[c.type]) for c in table.columns[1:]]
        )
        actions = self._dice.sample(
            (
                f"WHEN MATCHED THEN UPDATE SET {column} = {value}",
                f"WHEN NOT MATCHED THEN INSERT VALUES ({filler})",
                "WHEN NOT MATCHED BY SOURCE THEN DELETE",
                f"WHEN NOT MATCHED BY SOURCE THEN UPDATE SET {column} = {value}",
            ),
            self._dice.randint(1, 3),
        )
        on = f"USING {source.name} AS s ON t.id = s.id"
        return f"MERGE INTO {table.name} AS t {on} {' '.join(actions)}"

    def _reference(self, sources: list[Source]) -> tuple[str, str]:
        source = self._dice.choice(sources)
        column = self._dice.choice(source.columns)
        name = f"{source.alias}.{column.name}" if source.alias else column.name
        return name, column.type

    def _column(self, sources: list[Source]) -> str:
        return self._reference(sources)[0]

    def _typed(self, sources: list[Source], type_: str) -> str:
        """Return a column of that type, a constant or a parameter where there is none."""
        found = [
            f"{s.alias}.{c.name}" if s.alias else c.name
            for s in sources
            for c in s.columns
            if c.type == type_
        ]
        chance = self._dice.random()
        if found and chance < 0.85:
            return self._dice.choice(found)
        if self._parameters and chance > 0.94 and type_ in (INT, TEXT):
            return f"%({self._dice.choice(('some', 'any'))}_{type_})s::{type_}"
        if chance > 0.92 and type_ != JSON:
            return f"NULL::{type_}"
        return f"{self._dice.choice(LITERALS[type_])}::{type_}"

    def _name(self, prefix: str) -> str:
        self._names += 1
        return f"{prefix}_{self._names}"

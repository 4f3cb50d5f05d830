"""What the verifier asks of PostgreSQL's catalog. Each question is asked once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from psycopg import Connection
from psycopg.rows import class_row

from platform_queries.verify.tree import Node, queries

T = TypeVar("T")

TABLES = ("r", "p")


@dataclass(frozen=True, slots=True)
class Type:
    """`kind` is pg_type.typtype: b(ase), c(omposite), d(omain), e(num), p(seudo), r(ange)."""

    oid: int
    name: str
    internal: str
    kind: str
    category: str
    element: int
    base: int
    not_null: bool
    labels: list[str]


@dataclass(frozen=True, slots=True)
class Function:
    name: str
    builtin: bool
    strict: bool
    first_argument: int


@dataclass(frozen=True, slots=True)
class Operator:
    name: str
    builtin: bool
    strict: bool
    left: int
    right: int
    category: str


@dataclass(frozen=True, slots=True)
class Column:
    """`required` means that it takes no NULL, `never_null` that it cannot hold one either: not from
    a table that inherits from this one, nor from before an unvalidated constraint."""

    number: int
    name: str
    type: int
    required: bool
    never_null: bool
    filled: bool


@dataclass(frozen=True, slots=True)
class Relation:
    """`kind` is pg_class.relkind. `fills` means that a trigger may set columns before an INSERT."""

    name: str
    kind: str
    fills: bool


@dataclass(frozen=True, slots=True)
class Constraint:
    """`kind` is pg_constraint.contype; a unique index without a constraint counts as `u`."""

    name: str
    kind: str
    columns: list[int]


@dataclass(frozen=True, slots=True)
class Reference:
    """A foreign key that points here. The actions are pg_constraint's: a, r, c, n or d."""

    name: str
    child: int
    columns: list[int]
    on_delete: str
    on_update: str


class Catalog:
    def __init__(self, connection: Connection[Any]) -> None:
        self._connection = connection
        self._known: dict[tuple[object, ...], Any] = {}

    def sql_type(self, oid: int) -> Type:
        return self._row(Type, TYPE, oid)

    def base_type(self, oid: int) -> Type:
        """Look through domains."""
        found = self.sql_type(oid)
        return self.base_type(found.base) if found.kind == "d" else found

    def requires_value(self, oid: int) -> bool:
        """Whether the type is a domain that is NOT NULL, itself or one that it is based on."""
        found = self.sql_type(oid)
        return found.kind == "d" and (found.not_null or self.requires_value(found.base))

    def named(self, internal: str) -> int:
        """Return the oid of a type of PostgreSQL's own."""
        return int(self._once(("type", internal), lambda: self._first(TYPE_NAMED, internal)[0]))

    def function(self, oid: int) -> Function:
        return self._row(Function, FUNCTION, oid)

    def operator(self, oid: int) -> Operator:
        return self._row(Operator, OPERATOR, oid)

    def relation(self, oid: int) -> Relation:
        return self._row(Relation, RELATION, oid)

    def columns(self, relation: int) -> dict[int, Column]:
        rows = self._rows(Column, COLUMNS, relation)
        return {column.number: column for column in rows}

    def constraints(self, relation: int) -> Sequence[Constraint]:
        return self._rows(Constraint, CONSTRAINTS, relation)

    def references(self, relation: int) -> Sequence[Reference]:
        return self._rows(Reference, REFERENCES, relation)

    def domain_checks(self, oid: int) -> list[str]:
        """Return the names of the CHECKs on a type, which is a domain, and on its bases."""
        found = self.sql_type(oid)
        if found.kind != "d":
            return []
        rows = self._rows(Constraint, DOMAIN_CHECKS, oid)
        return [row.name for row in rows] + self.domain_checks(found.base)

    def constraint_exists(self, name: str) -> bool:
        return bool(self._once(("exists", name), lambda: self._first(CONSTRAINT_EXISTS, name)[0]))

    def constraint_name(self, oid: int) -> str:
        return str(self._once(("constraint", oid), lambda: self._first(CONSTRAINT_NAME, oid)[0]))

    def view(self, relation: int) -> Node:
        """Return the analysed query of a view."""

        def read() -> Node:
            return queries(self._first(VIEW, relation)[0])[0]

        return self._once(("view", relation), read)

    def _row(self, kind: type[T], sql: str, oid: int) -> T:
        return self._rows(kind, sql, oid)[0]

    def _rows(self, kind: type[T], sql: str, oid: int) -> list[T]:
        def read() -> list[T]:
            with self._connection.cursor(row_factory=class_row(kind)) as cursor:
                return cursor.execute(sql.encode(), {"oid": oid}).fetchall()

        return self._once((sql, oid), read)

    def _first(self, sql: str, key: object) -> tuple[Any, ...]:
        row = self._connection.execute(sql.encode(), {"key": key}).fetchone()
        return row or (None,)

    def _once(self, question: tuple[object, ...], ask: Callable[[], T]) -> T:
        if question not in self._known:
            self._known[question] = ask()
        answer: T = self._known[question]
        return answer


# Objects of users have an oid from 16384 on: FirstNormalObjectId in access/transam.h.
TYPE = """
    SELECT t.oid::int8 AS oid, format_type(t.oid, NULL) AS name, typname::text AS internal,
           typtype::text AS kind, typcategory::text AS category, typbasetype::int8 AS base,
           CASE WHEN typcategory = 'A' THEN typelem::int8 ELSE 0 END AS element,
           typnotnull AS not_null,
           ARRAY(SELECT enumlabel::text FROM pg_enum WHERE enumtypid = t.oid
                 ORDER BY enumsortorder) AS labels
    FROM pg_type t WHERE t.oid = %(oid)s
"""
TYPE_NAMED = """
    SELECT oid::int8 FROM pg_type
    WHERE typname = %(key)s AND typnamespace = 'pg_catalog'::regnamespace
"""
FUNCTION = """
    SELECT proname::text AS name, oid < 16384 AS builtin, proisstrict AS strict,
           coalesce(proargtypes[0], 0)::int8 AS first_argument
    FROM pg_proc WHERE oid = %(oid)s
"""
OPERATOR = """
    SELECT oprname::text AS name, o.oid < 16384 AS builtin, proisstrict AS strict,
           oprleft::int8 AS left, oprright::int8 AS right,
           coalesce(l.typcategory::text, '') || r.typcategory::text AS category
    FROM pg_operator o JOIN pg_proc p ON p.oid = o.oprcode
         LEFT JOIN pg_type l ON l.oid = oprleft JOIN pg_type r ON r.oid = oprright
    WHERE o.oid = %(oid)s
"""
RELATION = """
    SELECT c.oid::regclass::text AS name, relkind::text AS kind,
           EXISTS (SELECT FROM pg_trigger WHERE tgrelid = c.oid AND NOT tgisinternal
                   AND tgtype & 7 = 7) AS fills
    FROM pg_class c WHERE c.oid = %(oid)s
"""
COLUMNS = """
    WITH RECURSIVE family AS (
        SELECT %(oid)s::oid AS relid
        UNION SELECT inhrelid FROM pg_inherits JOIN family ON inhparent = relid
    )
    SELECT a.attnum AS number, a.attname::text AS name, a.atttypid::int8 AS type,
           a.attnotnull AS required,
           a.atthasdef OR a.attidentity <> '' OR t.typdefault IS NOT NULL AS filled,
           NOT EXISTS (
               SELECT FROM family JOIN pg_class c ON c.oid = relid
                    JOIN pg_attribute m ON m.attrelid = relid AND m.attname = a.attname
               WHERE NOT m.attnotnull OR c.relkind NOT IN ('r', 'p') OR EXISTS (
                   SELECT FROM pg_constraint k WHERE k.conrelid = relid AND k.contype = 'n'
                       AND k.conkey = ARRAY[m.attnum] AND NOT k.convalidated)
           ) AS never_null
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
    WHERE a.attrelid = %(oid)s AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY a.attnum
"""
CONSTRAINTS = """
    WITH used AS (
        SELECT objid, array_agg(refobjsubid) AS columns FROM pg_depend
        WHERE classid = 'pg_class'::regclass AND refobjid = %(oid)s AND refobjsubid > 0
        GROUP BY objid
    )
    SELECT conname::text AS name, contype::text AS kind,
           ARRAY(SELECT DISTINCT n::int FROM unnest(conkey || coalesce(columns, '{}')) n
                 WHERE n > 0 ORDER BY 1) AS columns
    FROM pg_constraint LEFT JOIN used ON objid = conindid AND contype IN ('p', 'u', 'x')
    WHERE conrelid = %(oid)s AND contype IN ('p', 'u', 'x', 'c', 'f')
    UNION ALL
    SELECT c.relname::text, 'u',
           ARRAY(SELECT DISTINCT n::int FROM unnest(indkey::int2[] || coalesce(columns, '{}')) n
                 WHERE n > 0 ORDER BY 1)
    FROM pg_index i JOIN pg_class c ON c.oid = indexrelid LEFT JOIN used ON objid = indexrelid
    WHERE indrelid = %(oid)s AND indisunique
        AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid
                        AND contype IN ('p', 'u', 'x'))
    ORDER BY 1
"""
REFERENCES = """
    SELECT conname::text AS name, conrelid::int8 AS child, confkey::int[] AS columns,
           confdeltype::text AS on_delete, confupdtype::text AS on_update
    FROM pg_constraint WHERE confrelid = %(oid)s AND contype = 'f' AND conparentid = 0
    ORDER BY 1
"""
DOMAIN_CHECKS = """
    SELECT conname::text AS name, contype::text AS kind, '{}'::int[] AS columns
    FROM pg_constraint WHERE contypid = %(oid)s AND contype = 'c' ORDER BY 1
"""
CONSTRAINT_EXISTS = """
    SELECT EXISTS (SELECT FROM pg_constraint WHERE conname = %(key)s)
        OR EXISTS (SELECT FROM pg_index JOIN pg_class c ON c.oid = indexrelid
                   WHERE indisunique AND relname = %(key)s)
"""
CONSTRAINT_NAME = "SELECT conname::text FROM pg_constraint WHERE oid = %(key)s"
VIEW = """
    SELECT ev_action::text FROM pg_rewrite
    WHERE ev_class = %(key)s AND rulename = '_RETURN'
"""

"""Each kind of wrong query and exactly what is said about it."""

import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum, StrEnum
from typing import Annotated, Any, Literal

import pytest

from platform_domain.errors import Conflict
from platform_queries import QUERIES, Exec, Many, Maybe, NotNull, One, Query
from platform_queries.verify.verifier import Verifier


class Status(StrEnum):
    DRAFT = "draft"
    LIVE = "live"


class Wrong(StrEnum):
    DRAFT = "draft"
    DEAD = "dead"


class Less(StrEnum):
    DRAFT = "draft"


class Plain(Enum):
    DRAFT = 1


@dataclass(frozen=True, slots=True)
class User:
    id: int
    email: str


@dataclass(frozen=True, slots=True)
class Nick:
    nick: str


@dataclass(frozen=True, slots=True)
class Filled:
    id: int
    email: str = ""


@dataclass(frozen=True, slots=True)
class Unreadable:
    id: "Missing"  # type: ignore[name-defined]  # noqa: F821


@dataclass(frozen=True, slots=True)
class Case:
    base: Any
    sql: str
    said: str | list[str]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    namespace: Mapping[str, Any] = field(default_factory=dict)


DECLARE_USERS_PKEY = {"unbreakable": {"users_pkey", "users_email_key"}}

CASES = {
    # What PostgreSQL says
    "a syntax error": Case(One[int], "SELEC 1", 'syntax error at or near "SELEC"'),
    "a missing table": Case(
        One[int], "SELECT id FROM peoples", 'relation "peoples" does not exist'
    ),
    "a misspelt column": Case(
        Many[str],
        "SELECT emial FROM users",
        'column "emial" does not exist'
        ' (hint: Perhaps you meant to reference the column "users.email".)',
    ),
    "an ambiguous column": Case(
        Many[int], "SELECT id FROM users, projects", 'column reference "id" is ambiguous'
    ),
    "a missing function": Case(
        One[int],
        "SELECT twice(1)",
        "function twice(integer) does not exist"
        " (hint: No function matches the given name and argument types. You might need to"
        " add explicit type casts.)",
    ),
    "operands that do not fit": Case(
        Many[int],
        "SELECT id FROM users WHERE id = 'x'::text",
        "operator does not exist: integer = text"
        " (hint: No operator matches the given name and argument types. You might need to"
        " add explicit type casts.)",
    ),
    "a literal that is no label": Case(
        Exec,
        "DELETE FROM shots WHERE 'x'::status = 'live'",
        'invalid input value for enum status: "x"',
    ),
    "a column outside GROUP BY": Case(
        Many[str],
        "SELECT email, count(*) FROM users GROUP BY nick",
        'column "users.email" must appear in the GROUP BY clause or be used in an aggregate functio'
        "n",
    ),
    "an aggregate in WHERE": Case(
        Many[int],
        "SELECT id FROM users WHERE count(*) > 1",
        "aggregate functions are not allowed in WHERE",
    ),
    "too few values": Case(
        Exec,
        "INSERT INTO users (id, email) VALUES (1)",
        "INSERT has more target columns than expressions",
    ),
    "two statements": Case(
        One[int], "SELECT 1; SELECT 2", "cannot insert multiple commands into a prepared statement"
    ),
    "a conflict target without index": Case(
        Exec,
        "INSERT INTO users VALUES (1, 'x') ON CONFLICT (nick) DO NOTHING",
        "there is no unique or exclusion constraint matching the ON CONFLICT specification",
    ),
    "a parameter of no type": Case(
        Many[int],
        "SELECT id FROM users WHERE %(q)s IS NULL",
        "could not determine data type of parameter %(q)s",
        {"q": str | None},
    ),
    "a utility statement": Case(
        Exec,
        "LISTEN news",
        "this cannot be verified: LISTEN is not yet supported in unquoted SQL function body",
    ),
    # Parameters
    "a parameter without a field": Case(
        Many[int],
        "SELECT id FROM users WHERE id = %(id)s AND email = %(mail)s",
        "%(mail)s has no field: declare `mail: …`",
        {"id": int},
    ),
    "a field that is not used": Case(
        One[int], "SELECT 1", "the field id is not used in the SQL", {"id": int}
    ),
    "a percent sign alone": Case(
        Many[int],
        "SELECT id FROM users WHERE email LIKE 'a%'",
        "write %% for a percent sign and %(name)s for a value",
    ),
    "a positional parameter": Case(
        Many[int],
        "SELECT id FROM users WHERE id = %s",
        "write %% for a percent sign and %(name)s for a value",
    ),
    "another format": Case(
        Many[int],
        "SELECT id FROM users WHERE id = %(id)b",
        "a parameter is written %(id)s",
        {"id": int},
    ),
    "a parameter of the wrong type": Case(
        Many[int],
        "SELECT id FROM users WHERE id = %(id)s",
        "parameter id (integer): expected int, got str",
        {"id": str},
    ),
    "an array for one value": Case(
        Many[int],
        "SELECT id FROM users WHERE id = %(ids)s",
        "parameter ids (integer): expected int, got list[int]",
        {"ids": list[int]},
    ),
    "one value for an array": Case(
        Many[int],
        "SELECT id FROM users WHERE id = ANY (%(ids)s)",
        "parameter ids (integer[]): expected list[…], got int",
        {"ids": int},
    ),
    "elements of the wrong type": Case(
        Many[int],
        "SELECT id FROM users WHERE id = ANY (%(ids)s)",
        "parameter ids (integer[]): its elements: expected int, got str",
        {"ids": list[str]},
    ),
    "text for an enum": Case(
        Many[int],
        "SELECT id FROM projects WHERE status = %(status)s",
        "parameter status (status): expected a StrEnum or Literal of 'draft', 'live', got str",
        {"status": str},
    ),
    "a label that does not exist": Case(
        Many[int],
        "SELECT id FROM projects WHERE status = %(status)s",
        "parameter status (status): Wrong has labels that PostgreSQL does not: dead",
        {"status": Wrong},
    ),
    "an enum that is not of strings": Case(
        Many[int],
        "SELECT id FROM projects WHERE status = %(status)s",
        "parameter status (status)"
        ": expected a StrEnum or Literal of 'draft', 'live', got Plain; its members must"
        " be strings",
        {"status": Plain},
    ),
    "a list for JSON": Case(
        Exec,
        "UPDATE projects SET meta = %(meta)s",
        "parameter meta (jsonb): expected dict[…], a TypedDict or psycopg's Jsonb, got list[int]",
        {"meta": list[int]},
    ),
    "a parameter without a Python type": Case(
        Exec,
        "UPDATE projects SET position = %(at)s",
        "parameter at (point): there is no Python type for it: cast it to text or to another type",
        {"at": str},
    ),
    "a composite parameter": Case(
        Exec,
        "UPDATE projects SET price = %(price)s",
        "parameter price (money_amount): a composite has no Python type"
        ": select its fields one by one",
        {"price": str},
    ),
    "an array of a domain": Case(
        Exec,
        "UPDATE projects SET slugs = %(slugs)s",
        "parameter slugs (slug[]): an array of a domain has no Python type: cast it to text[]",
        {"slugs": list[str]},
        {"unbreakable": {"slug_check"}},
    ),
    "None for a NOT NULL column": Case(
        Exec,
        "UPDATE scenes SET title = %(title)s",
        "parameter title may be None, but scenes.title is NOT NULL",
        {"title": str | None},
    ),
    "None by way of an expression": Case(
        Exec,
        "UPDATE scenes SET title = upper(%(title)s)",
        "parameter title may be None, but scenes.title is NOT NULL",
        {"title": str | None},
    ),
    "None in an upsert": Case(
        Exec,
        "INSERT INTO users VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET email = %(email)s",
        "parameter email may be None, but users.email is NOT NULL",
        {"email": str | None},
        DECLARE_USERS_PKEY,
    ),
    "None by way of SELECT": Case(
        Exec,
        "INSERT INTO base SELECT %(n)s::integer",
        "parameter n may be None, but base.n is NOT NULL",
        {"n": int | None},
    ),
    "None for a NOT NULL domain": Case(
        Many[int],
        "SELECT id FROM projects WHERE slug = %(slug)s::slug",
        "parameter slug may be None, but the domain slug is NOT NULL",
        {"slug": str | None},
    ),
    "types that psycopg sends otherwise": Case(
        Many[int],
        "SELECT id FROM users WHERE ARRAY[id] @> %(ids)s",
        "as psycopg sends the parameters: operator does not exist: integer[] @> smallint[]"
        " (hint: No operator matches the given name and argument types. You might need to"
        " add explicit type casts.); cast the parameter",
        {"ids": list[int]},
    ),
    "JSON of the other kind": Case(
        One[int | None],
        "SELECT json_array_length(%(list)s)",
        "as psycopg sends the parameters: function json_array_length(jsonb) does not exist"
        " (hint: No function matches the given name and argument types. You might need to"
        " add explicit type casts.); cast the parameter",
        {"list": dict[str, Any]},
    ),
    "a full join without equality": Case(
        Many[int | None],
        "SELECT u.id FROM users u FULL JOIN scenes s ON u.id < s.id",
        "FULL JOIN is only supported with merge-joinable or hash-joinable join conditions",
    ),
    # Rows
    "rows from Exec": Case(
        Exec, "SELECT 1", "Exec returns no rows, but this statement does: use One, Maybe or Many"
    ),
    "no rows from One": Case(
        One[int], "DELETE FROM shots", "this statement returns no rows: use Exec, or add RETURNING"
    ),
    "a column twice": Case(
        Many[User], "SELECT id, email, id FROM users", "column id is returned 2 times"
    ),
    "a column without a field": Case(
        Many[User], "SELECT id, email, nick FROM users", "column nick is not a field of User"
    ),
    "a field without a column": Case(
        Many[User], "SELECT id FROM users", "User.email is not returned"
    ),
    "two columns for one value": Case(
        Many[int], "SELECT id, email FROM users", "int is one value, but there are 2 columns"
    ),
    "a column of the wrong type": Case(
        Many[str], "SELECT id FROM users", "column id (integer): expected int, got str"
    ),
    "a float for a numeric": Case(
        Many[float | None],
        "SELECT budget FROM projects",
        "column budget (numeric): expected Decimal, got float",
    ),
    "a date for a moment": Case(
        Many[str],
        "SELECT created_at FROM projects",
        "column created_at (timestamp with time zone): expected datetime, got str",
    ),
    "text for an enum column": Case(
        Many[str],
        "SELECT status FROM projects",
        "column status (status): expected a StrEnum or Literal of 'draft', 'live', got str",
    ),
    "a label that the row lacks": Case(
        Many[Less],
        "SELECT status FROM projects",
        "column status (status): Less lacks labels that PostgreSQL has: live",
    ),
    "a label that PostgreSQL lacks": Case(
        Many[Literal["draft", "live", "gone"]],
        "SELECT status FROM projects",
        "column status (status): Literal['draft', 'live', 'gone'] has labels that PostgreSQL does"
        " not: gon"
        "e",
    ),
    "enum elements of the wrong type": Case(
        Many[list[str] | None],
        "SELECT former FROM projects",
        "column former (status[]): its elements"
        ": expected a StrEnum or Literal of 'draft', 'live', got str",
    ),
    "JSON as something else": Case(
        Many[Decimal | None],
        "SELECT meta FROM projects",
        "column meta (jsonb): expected Any, dict[…] or list[…], got Decimal",
    ),
    "a composite": Case(
        Many[str | None],
        "SELECT price FROM projects",
        "column price (money_amount): a composite has no Python type: select its fields one by one",
    ),
    "a whole row": Case(
        Many[User],
        "SELECT users AS id, email FROM users",
        "column id (users): a composite has no Python type: select its fields one by one",
    ),
    "a column without a Python type": Case(
        Many[str | None],
        "SELECT position FROM projects",
        "column position (point): there is no Python type for it"
        ": cast it to text or to another type",
    ),
    # NULL
    "a nullable column": Case(
        Many[Nick],
        "SELECT nick FROM users",
        "column nick can be NULL (nullable column): declare `str | None`",
    ),
    "an outer join": Case(
        Many[str],
        "SELECT s.title FROM users u LEFT JOIN scenes s ON s.id = u.id",
        "column title can be NULL (outer join): declare `str | None`",
    ),
    "an aggregate of nothing": Case(
        One[int],
        "SELECT max(id) FROM users",
        "column max can be NULL (aggregate, which may have no value to work on)"
        ": declare `int | None`",
    ),
    "a subquery without a row": Case(
        One[str],
        "SELECT (SELECT email FROM users LIMIT 1)",
        "column email can be NULL (subquery, maybe without row): declare `str | None`",
    ),
    "a function of our own": Case(
        One[int],
        "SELECT double_of(1)",
        "column double_of is not known to be NOT NULL (function double_of)"
        ": declare `int | None` or `Annotated[int, NotNull]`",
    ),
    "a needless promise": Case(
        One[Annotated[int, NotNull]],
        "SELECT count(*) FROM users",
        "column count is never NULL (count, 0 over no rows): drop NotNull",
    ),
    "a promise against the truth": Case(
        Many[Annotated[str, NotNull]],
        "SELECT nick FROM users",
        "column nick can be NULL (nullable column): declare `str | None`",
    ),
    # Constraints
    "a unique constraint": Case(
        Exec,
        "UPDATE users SET email = %(email)s",
        "a caller can break users_email_key (UNIQUE)"
        ": name it in `raises`, or in `unbreakable` with a reason",
        {"email": str},
    ),
    "a check and a unique constraint": Case(
        Exec,
        "UPDATE projects SET name = %(name)s",
        [
            (
                "a caller can break projects_name_check (CHECK)"
                ": name it in `raises`, or in `unbreakable` with a reason"
            ),
            (
                "a caller can break projects_owner_name_key (UNIQUE)"
                ": name it in `raises`, or in `unbreakable` with a reason"
            ),
        ],
        {"name": str},
    ),
    "a foreign key": Case(
        Exec,
        "UPDATE scenes SET project = %(project)s",
        "a caller can break scenes_project_fkey (FOREIGN KEY)"
        ": name it in `raises`, or in `unbreakable` with a reason",
        {"project": int},
    ),
    "an exclusion constraint": Case(
        Exec,
        "INSERT INTO bookings VALUES (1, int4range(1, %(to)s))",
        "a caller can break bookings_during_excl (EXCLUDE)"
        ": name it in `raises`, or in `unbreakable` with a reason",
        {"to": int},
    ),
    "the CHECK of a domain and a unique index": Case(
        Exec,
        "UPDATE projects SET title = %(title)s",
        [
            (
                "a caller can break projects_title_index (UNIQUE)"
                ": name it in `raises`, or in `unbreakable` with a reason"
            ),
            (
                "a caller can break title_check (CHECK of a domain)"
                ": name it in `raises`, or in `unbreakable` with a reason"
            ),
        ],
        {"title": str},
    ),
    "a row that others point at": Case(
        Exec,
        "DELETE FROM users",
        "a caller can break projects_owner_fkey (FOREIGN KEY of another table)"
        ": name it in `raises`, or in `unbreakable` with a reason",
    ),
    "a cascade that is refused": Case(
        Exec,
        "DELETE FROM projects",
        "a caller can break shots_scene_fkey (FOREIGN KEY of another table)"
        ": name it in `raises`, or in `unbreakable` with a reason",
    ),
    "a key that others point at": Case(
        Exec,
        "UPDATE scenes SET id = %(id)s",
        "a caller can break shots_scene_fkey (FOREIGN KEY of another table)"
        ": name it in `raises`, or in `unbreakable` with a reason",
        {"id": int},
        {"raises": {"scenes_pkey": Conflict}},
    ),
    "a primary key": Case(
        Exec,
        "INSERT INTO users (id, email) VALUES (%(id)s, 'x')",
        "a caller can break users_pkey (PRIMARY KEY)"
        ": name it in `raises`, or in `unbreakable` with a reason",
        {"id": int},
    ),
    "a constraint of an INSERT … SELECT": Case(
        Exec,
        "INSERT INTO users (id, email) SELECT id + 9, email FROM users",
        [
            (
                "a caller can break users_email_key (UNIQUE)"
                ": name it in `raises`, or in `unbreakable` with a reason"
            ),
            (
                "a caller can break users_pkey (PRIMARY KEY)"
                ": name it in `raises`, or in `unbreakable` with a reason"
            ),
        ],
    ),
    "a constraint in a CTE": Case(
        One[int],
        "WITH w AS (UPDATE users SET email = %(email)s RETURNING id) SELECT count(*) FROM w",
        "a caller can break users_email_key (UNIQUE)"
        ": name it in `raises`, or in `unbreakable` with a reason",
        {"email": str},
    ),
    "a constraint of MERGE": Case(
        Exec,
        "MERGE INTO users u USING (SELECT 1) ON u.id = %(id)s"
        " WHEN MATCHED THEN UPDATE SET email = %(email)s",
        "a caller can break users_email_key (UNIQUE)"
        ": name it in `raises`, or in `unbreakable` with a reason",
        {"id": int, "email": str},
    ),
    "a name in raises that does not exist": Case(
        One[int],
        "SELECT 1",
        "`raises` names users_name_key, but there is no such constraint",
        {},
        {"raises": {"users_name_key": Conflict}},
    ),
    "a name in unbreakable that does not exist": Case(
        One[int],
        "SELECT 1",
        "`unbreakable` names users_name_key, but there is no such constraint",
        {},
        {"unbreakable": {"users_name_key"}},
    ),
    "a name in both": Case(
        One[int],
        "SELECT 1",
        "users_pkey is in `raises` and in `unbreakable`",
        {},
        {"raises": {"users_pkey": Conflict}, "unbreakable": {"users_pkey"}},
    ),
    "a NOT NULL column that is not set": Case(
        Exec,
        "INSERT INTO users (id) VALUES (1)",
        "users.email is NOT NULL and has no default, but INSERT does not set it",
    ),
    # Annotations
    "no row type": Case(
        One,
        "SELECT 1",
        "an annotation cannot be read: give One[…] the type of a row, without quotes",
    ),
    "a row type in quotes": Case(
        Maybe["User"],
        "SELECT id, email FROM users",
        "an annotation cannot be read: give Maybe[…] the type of a row, without quotes",
    ),
    "a field that cannot be read": Case(
        Many[Unreadable],
        "SELECT id FROM users",
        "an annotation cannot be read: name 'Missing' is not defined",
    ),
    "a parameter that cannot be read": Case(
        One[int],
        "SELECT %(x)s::integer",
        "an annotation cannot be read: name 'Missing' is not defined",
        {"x": "Missing"},
    ),
}


@pytest.mark.parametrize("kind", CASES)
def test_each_kind_of_wrong_query_has_its_message(verifier: Verifier, kind: str) -> None:
    case = CASES[kind]
    expected = [case.said] if isinstance(case.said, str) else case.said

    assert said_about(verifier, case) == expected


def said_about(verifier: Verifier, case: Case) -> list[str]:
    _, problems = verifier.verify(query_of(case))
    return [problem.message for problem in problems]


def query_of(case: Case) -> type[Query[Any]]:
    def body(namespace: dict[str, Any]) -> None:
        namespace.update(case.namespace, sql=case.sql, __module__=__name__)
        namespace["__annotations__"] = dict(case.parameters)

    query: type[Query[Any]] = types.new_class("Wrong", (case.base,), {}, body)
    del QUERIES[f"{__name__}.Wrong"]
    return query

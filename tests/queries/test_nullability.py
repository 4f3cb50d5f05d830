"""What can be NULL, case by case. Each was also looked at with rows in `test_soundness`."""

import pytest

from platform_queries.verify.nullability import nullability
from platform_queries.verify.prepare import described, numbered
from platform_queries.verify.scope import Parameter
from platform_queries.verify.verifier import Verifier

PARAMETERS = {
    "some": Parameter("some", optional=False, optional_elements=False),
    "any": Parameter("any", optional=True),
}
P, S, U = "projects p", "scenes s ON s.project = p.id", "users u ON u.id = p.owner"

# `n` never, `c` can, `?` unknown: one letter a column.
CASES = {
    # Tables
    "SELECT id, owner, budget FROM projects": "nnc",
    "SELECT ctid, tableoid FROM projects": "nn",
    "SELECT title, slug FROM projects": "cn",
    "SELECT slugs, meta FROM projects": "cc",
    "SELECT n FROM base": "n",
    "SELECT n FROM late": "c",
    "SELECT id, name, scene FROM project_scenes": "nnc",
    "SELECT name FROM project_names": "?",
    "SELECT relname, reloptions FROM pg_class": "nc",
    # Outer joins
    f"SELECT p.name, s.title FROM {P} LEFT JOIN {S}": "nc",
    f"SELECT p.name, s.title FROM {P} RIGHT JOIN {S}": "cn",
    f"SELECT p.name, s.title FROM {P} FULL JOIN {S}": "cc",
    f"SELECT p.name, s.title FROM {P} JOIN {S}": "nn",
    f"SELECT p.name, s.title, u.email FROM {P} LEFT JOIN {S} JOIN {U}": "ncn",
    f"SELECT s.title, h.id FROM {P} LEFT JOIN ({'scenes s JOIN shots h ON h.scene = s.id'})"
    " ON s.project = p.id": "cc",
    "SELECT id, email, title FROM users FULL JOIN scenes USING (id)": "ncc",
    "SELECT id FROM users LEFT JOIN scenes USING (id)": "n",
    "SELECT id FROM (users FULL JOIN scenes USING (id)) FULL JOIN shots USING (id)": "n",
    "SELECT n FROM base FULL JOIN late USING (n)": "c",
    "SELECT x.id FROM users FULL JOIN scenes USING (id) AS x": "n",
    f"SELECT p.name, l.t FROM {P} LEFT JOIN LATERAL (SELECT s.title AS t FROM scenes s"
    " WHERE s.project = p.id LIMIT 1) l ON true": "nc",
    f"SELECT l.t FROM {P}, LATERAL (SELECT p.name AS t) l": "n",
    f"SELECT l.t FROM {P} LEFT JOIN {S}, LATERAL (SELECT s.title AS t) l": "c",
    # What WHERE and ON prove
    f"SELECT s.title FROM {P} LEFT JOIN {S} WHERE s.title IS NOT NULL": "n",
    f"SELECT s.title, s.project FROM {P} LEFT JOIN {S} WHERE s.id IS NOT NULL": "nc",
    f"SELECT s.title FROM {P} LEFT JOIN {S} WHERE s.place > 3": "n",
    f"SELECT s.title FROM {P} LEFT JOIN {S} WHERE s.place IN (1, 2)": "n",
    f"SELECT s.title FROM {P} LEFT JOIN {S} WHERE s.place <> ALL (%(some)s::int[])": "c",
    f"SELECT s.title FROM {P} LEFT JOIN {S} WHERE coalesce(s.place, 1) = 1": "c",
    f"SELECT s.title FROM {P} LEFT JOIN {S} WHERE s.place > 1 OR p.id > 1": "c",
    f"SELECT s.title FROM {P} LEFT JOIN {S} WHERE NOT (s.place > 1)": "n",
    f"SELECT s.title, h.id FROM {P} LEFT JOIN {S} JOIN shots h ON h.scene = s.id": "nn",
    f"SELECT p.name FROM {P} FULL JOIN {S} WHERE s.id IS NOT NULL": "c",
    "SELECT budget FROM projects WHERE budget IS NOT NULL": "n",
    "SELECT x FROM (SELECT budget AS x FROM projects) q WHERE x > 0": "n",
    "SELECT nick FROM users WHERE NOT (nick IS NULL)": "c",
    # Subqueries
    "SELECT q.t FROM (SELECT title AS t FROM scenes) q": "n",
    "SELECT (SELECT name FROM projects WHERE id = 1)": "c",
    "SELECT (SELECT count(*) FROM projects)": "n",
    "SELECT (SELECT count(*) FROM projects GROUP BY owner LIMIT 1)": "c",
    "SELECT (SELECT count(*) FROM projects HAVING count(*) > 1)": "c",
    "SELECT (SELECT max(id) FROM projects)": "c",
    "SELECT (SELECT 1), (SELECT 1 WHERE false), (SELECT 1 LIMIT 0)": "ncc",
    "SELECT EXISTS (SELECT FROM projects), ARRAY(SELECT budget FROM projects)": "nn",
    "SELECT id IN (SELECT scene FROM shots), id IN (SELECT project FROM scenes) FROM users": "nc",
    # CTEs
    "WITH x AS (SELECT name, budget FROM projects) SELECT * FROM x": "nc",
    "WITH x AS (SELECT name FROM projects) SELECT (SELECT min(name) FROM x), x.name FROM x": "cn",
    "WITH x AS (SELECT id FROM users) SELECT (SELECT y.n FROM (SELECT count(*) AS n FROM x) y"
    " LIMIT 1), (SELECT count(*) FROM x)": "cn",
    "WITH RECURSIVE x AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM x WHERE n < 5)"
    " SELECT n FROM x": "?",
    "WITH w AS (DELETE FROM scenes RETURNING title, project) SELECT * FROM w": "nc",
    # Set operations
    "SELECT name FROM projects UNION SELECT nick FROM users": "c",
    "SELECT name FROM projects UNION ALL SELECT title FROM scenes": "n",
    "SELECT nick FROM users INTERSECT SELECT name FROM projects": "n",
    "SELECT nick FROM users EXCEPT SELECT name FROM projects": "c",
    "SELECT name FROM projects EXCEPT SELECT nick FROM users": "n",
    "VALUES (1, NULL), (2, 'b')": "nc",
    # Grouping
    "SELECT owner, count(*), sum(owner), max(budget) FROM projects GROUP BY owner": "nnnc",
    "SELECT count(*), sum(owner), array_agg(owner) FROM projects": "ncc",
    "SELECT owner, array_agg(budget), sum(id) FILTER (WHERE id > 1) FROM projects"
    " GROUP BY owner": "nnc",
    "SELECT stddev(id) FROM projects GROUP BY owner": "?",
    "SELECT count(*) FROM projects GROUP BY ()": "n",
    # Windows
    "SELECT row_number() OVER (), sum(id) OVER (), lag(id) OVER (ORDER BY id) FROM users": "nnc",
    "SELECT lag(id, 1, 0) OVER (ORDER BY id), first_value(id) OVER (ORDER BY id) FROM users": "nn",
    "SELECT sum(id) OVER (ROWS BETWEEN 1 PRECEDING AND 1 PRECEDING) FROM users": "c",
    # Expressions
    "SELECT coalesce(budget, 0), coalesce(nick, nick) FROM projects, users": "nc",
    "SELECT coalesce(double_of(id), NULL) FROM users": "?",
    "SELECT CASE WHEN id > 1 THEN name ELSE '' END, CASE WHEN id > 1 THEN name END"
    " FROM projects": "n?",
    "SELECT nullif(id, 1), greatest(budget, 1), NULL, 'x' FROM projects": "cncn",
    "SELECT id + 1, budget + 1, id::text, budget::int FROM projects": "ncnc",
    "SELECT upper(name), name || nick, substring(name from 'a') FROM projects, users": "nc?",
    "SELECT lower(int4range(1, 2)), upper('x')": "?n",
    "SELECT meta -> 'a', '{}'::jsonb ->> 'a', '{}'::jsonb || '{}' FROM projects": "??n",
    "SELECT now()::time, extract(day from now())": "??",
    "SELECT tags[1], tags || 'x'::text, cardinality(tags) FROM projects": "?nn",
    "SELECT 1 = ANY ('{1,NULL}'::int[]), 1 = ANY (ARRAY[1, id]) FROM users": "?n",
    "SELECT id = ANY (%(some)s::int[]), id = ANY (%(any)s::int[]) FROM users": "nc",
    "SELECT %(some)s::int, %(any)s::int, coalesce(%(any)s::int, 1)": "ncn",
    "SELECT double_of(1), concat(NULL, 'x'), concat_ws(NULL, 'x')": "?nc",
    "SELECT concat(VARIADIC NULL::text[]), num_nulls(NULL)": "?n",
    "SELECT current_user, current_schema, current_date": "ncn",
    "SELECT (id, nick) < (1, 'x'), id IS DISTINCT FROM 1, nick IS NULL FROM users": "cnn",
    "SELECT point(1, 2) <-> point(1, 3), lseg '((0,0),(1,1))' # lseg '((2,2),(3,3))'": "??",
    # Functions in FROM
    "SELECT n, o FROM generate_series(1, 3) WITH ORDINALITY AS f(n, o)": "nn",
    "SELECT t, o FROM unnest(%(some)s::text[]) WITH ORDINALITY AS f(t, o)": "?n",
    "SELECT t FROM upper('x') AS t": "n",
    "SELECT a, b FROM ROWS FROM (generate_series(1, 2), generate_series(1, 3)) AS f(a, b)": "??",
    "SELECT generate_series(1, 2), generate_series(1, 3)": "??",
    # Writing
    "INSERT INTO scenes VALUES (1, NULL, 'a', 1) RETURNING id, project": "nc",
    "UPDATE users SET nick = NULL WHERE nick IS NOT NULL RETURNING nick, email": "cn",
    "DELETE FROM users WHERE nick IS NOT NULL RETURNING nick": "n",
    "UPDATE scenes t SET place = 1 FROM projects p LEFT JOIN users u ON u.id = p.owner"
    " RETURNING t.title, p.name, u.email": "nnc",
    "SELECT email, nick FROM people": "nn",
    "INSERT INTO people VALUES (1, 'x', NULL) RETURNING email, nick": "??",
}
SINCE_17 = {
    "MERGE INTO scenes t USING shots s ON s.scene = t.id WHEN MATCHED THEN DELETE"
    " RETURNING t.title, s.id, merge_action()": "nnn",
    "MERGE INTO scenes t USING shots s ON s.scene = t.id WHEN NOT MATCHED BY SOURCE THEN DELETE"
    " RETURNING t.title, s.id": "nc",
}
SINCE_18 = {
    "SELECT ('null'::jsonb)::int, 'null'::jsonb::text": "?n",
    "SELECT sum(id) FROM projects GROUP BY ROLLUP (owner)": "c",
    "SELECT owner, count(*) FROM projects GROUP BY ROLLUP (owner)": "cn",
    "SELECT owner, name FROM projects GROUP BY owner, ROLLUP (name)": "nc",
    "UPDATE users SET email = 'x' RETURNING old.email, new.email, old.nick": "nnc",
    "INSERT INTO scenes VALUES (1, 1, 'a', 1) RETURNING old.title, new.title": "cn",
    "INSERT INTO scenes VALUES (1, 1, 'a', 1) ON CONFLICT (id) DO UPDATE SET place = 2"
    " RETURNING old.title, new.title": "cn",
    "DELETE FROM scenes RETURNING old.title, new.title": "nc",
    "MERGE INTO scenes t USING shots s ON s.scene = t.id WHEN MATCHED THEN DELETE"
    " RETURNING old.title, new.title": "nc",
    "MERGE INTO scenes t USING shots s ON s.scene = t.id"
    " WHEN NOT MATCHED THEN INSERT VALUES (s.id, 1, 'a', 1) RETURNING old.title, new.title": "cn",
}
LETTERS = {"never": "n", "can": "c", "unknown": "?"}


@pytest.mark.parametrize("sql", CASES)
def test_each_case_is_judged_as_it_is(verifier: Verifier, sql: str) -> None:
    assert judged(verifier, sql) == CASES[sql]


@pytest.mark.parametrize("sql", [*SINCE_17, *SINCE_18])
def test_what_newer_versions_know_is_judged_too(
    verifier: Verifier, server_version: int, sql: str
) -> None:
    if server_version < (17 if sql in SINCE_17 else 18):
        pytest.skip("PostgreSQL is too old for this statement")
    assert judged(verifier, sql) == (SINCE_17 | SINCE_18)[sql]


def judged(verifier: Verifier, sql: str) -> str:
    statement = numbered(sql)
    description = described(verifier.connection, statement)
    parameters = [PARAMETERS[name] for name in statement.names]
    verdicts = nullability(description.query, verifier.catalog, parameters)
    return "".join(LETTERS[verdict.nullable] for verdict in verdicts)

"""A schema with one of everything, and a verifier that looks at it."""

from collections.abc import Iterator

import psycopg
import pytest

from platform_queries.verify.verifier import Verifier
from tests.databases import temporary_database

SCHEMA = """
CREATE TYPE status AS ENUM ('draft', 'live');
CREATE TYPE money_amount AS (amount numeric, currency text);
CREATE DOMAIN slug AS text NOT NULL CONSTRAINT slug_check CHECK (value ~ '^[a-z-]+$');
CREATE DOMAIN title AS text CONSTRAINT title_check CHECK (length(value) < 80);
CREATE TABLE users (
    id integer CONSTRAINT users_pkey PRIMARY KEY,
    email text NOT NULL CONSTRAINT users_email_key UNIQUE,
    nick text
);
CREATE TABLE projects (
    id integer CONSTRAINT projects_pkey PRIMARY KEY,
    owner integer NOT NULL CONSTRAINT projects_owner_fkey REFERENCES users,
    name text NOT NULL,
    slug slug NOT NULL,
    status status NOT NULL DEFAULT 'draft',
    former status[],
    tags text[] NOT NULL DEFAULT '{}',
    slugs slug[],
    meta jsonb,
    price money_amount,
    budget numeric(10, 2),
    position point,
    title title,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT projects_owner_name_key UNIQUE (owner, name),
    CONSTRAINT projects_name_check CHECK (length(name) < 100)
);
CREATE UNIQUE INDEX projects_title_index ON projects (lower(title)) WHERE title IS NOT NULL;
CREATE TABLE scenes (
    id integer CONSTRAINT scenes_pkey PRIMARY KEY,
    project integer CONSTRAINT scenes_project_fkey REFERENCES projects ON DELETE CASCADE,
    title text NOT NULL,
    place integer NOT NULL
);
CREATE TABLE shots (
    id integer CONSTRAINT shots_pkey PRIMARY KEY,
    scene integer NOT NULL CONSTRAINT shots_scene_fkey REFERENCES scenes ON DELETE RESTRICT
);
CREATE TABLE bookings (
    room integer NOT NULL, during int4range NOT NULL,
    CONSTRAINT bookings_during_excl EXCLUDE USING gist (during WITH &&)
);
CREATE TABLE base (n integer NOT NULL);
CREATE TABLE derived () INHERITS (base);
CREATE TABLE late (n integer);
CREATE VIEW project_scenes AS
    SELECT p.id, p.name, s.title AS scene FROM projects p LEFT JOIN scenes s ON s.project = p.id;
CREATE VIEW people AS SELECT id, email, nick FROM users WHERE nick IS NOT NULL;
CREATE MATERIALIZED VIEW project_names AS SELECT id, name FROM projects;
CREATE FUNCTION double_of(n integer) RETURNS integer LANGUAGE sql STRICT AS 'SELECT n * 2';
"""


@pytest.fixture(scope="module")
def schema_url(database_server: str, worker_name: str) -> Iterator[str]:
    with temporary_database(database_server, f"{worker_name}_verification") as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(SCHEMA.encode())
        yield url


@pytest.fixture(scope="module")
def verifier(schema_url: str) -> Iterator[Verifier]:
    with psycopg.connect(schema_url, autocommit=True) as connection:
        yield Verifier(connection)


@pytest.fixture(scope="module")
def server_version(verifier: Verifier) -> int:
    """The major version."""
    return verifier.connection.info.server_version // 10_000

-- migrate:up
CREATE TABLE projects (
    id uuid CONSTRAINT projects_pkey PRIMARY KEY,
    owner text NOT NULL,
    name text NOT NULL,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT projects_owner_name_key UNIQUE (owner, name),
    CONSTRAINT projects_name_check CHECK (name ~ '\S' AND char_length(name) <= 100),
    CONSTRAINT projects_version_check CHECK (version > 0)
);

CREATE INDEX projects_owner_created_at_id_idx ON projects (owner, created_at, id);

-- migrate:down
DROP TABLE projects;
